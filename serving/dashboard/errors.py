"""What the page can be told.

DashboardError
└── TooManyPages   503  every stream of this process is taken
"""

from __future__ import annotations

from caudal.errors import CaudalError, TransientError


class DashboardError(CaudalError):
    """The page cannot be served."""

    code = "CDL-DASHBOARD"


class TooManyPages(TransientError):
    """Every event stream of this process is taken."""

    code = "CDL-PAGES"

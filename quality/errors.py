"""Errors of quality.

CaudalError
└── SuiteError    a mart's YAML asks for a check that nobody knows (exit 3)
"""

from __future__ import annotations

from caudal.errors import CaudalError, Exit


class SuiteError(CaudalError):
    """A mart's YAML cannot be compiled into checks."""

    code = "CDL-SUITE"
    exit_code = Exit.CONFIGURATION

"""Errors of lineage and catalogue.

CaudalError
├── TransientError
│   ├── ReceiverAway    the OpenLineage receiver did not take an event; it is sent again (exit 6)
│   └── GlueAway        AWS Glue did not answer (exit 6)
└── NameTaken           a table of that name in Glue is somebody else's (exit 3)
"""

from __future__ import annotations

from caudal.errors import CaudalError, Exit, TransientError


class ReceiverAway(TransientError):
    """The receiver of events did not answer, or not now."""

    code = "CDL-LINEAGE-AWAY"


class GlueAway(TransientError):
    """AWS Glue did not answer, or refused."""

    code = "CDL-GLUE-AWAY"


class NameTaken(CaudalError):
    """Tables that we did not register stand where ours would; they were left as they are."""

    code = "CDL-GLUE-TAKEN"
    exit_code = Exit.CONFIGURATION

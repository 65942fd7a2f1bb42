"""What can go wrong on the local platform.

CaudalError
├── JavaError       no Java that Spark and Kafka can run on
├── JarsError       Java archives missing, or not the locked ones
├── StartError      a server or stage did not become ready
└── AlreadyUp       this data folder has a running supervisor
"""

from __future__ import annotations

from caudal.errors import CaudalError


class JavaError(CaudalError):
    """No usable Java."""

    code = "CDL-JAVA"
    exit_code = 3


class JarsError(CaudalError):
    """Java archives are missing, could not be fetched, or are not the locked ones."""

    code = "CDL-JARS"
    exit_code = 3


class StartError(CaudalError):
    """A child did not become ready in its time, or ended before it was."""

    code = "CDL-START"
    exit_code = 6


class AlreadyUp(CaudalError):
    """The data folder already has a running supervisor."""

    code = "CDL-ALREADY-UP"
    exit_code = 3

"""Errors of the batch loop.

CaudalError
├── ProjectError     the dbt project cannot be parsed or its folder is missing (exit 3)
├── BuildFailed      a model could not be built (exit 1)
├── GateFailed       a check of gold or silver failed; nothing was published (exit 5)
├── NotGated         publish was asked for versions that no passed gate covers (exit 5)
└── Stopped          the process was told to end in the middle of a cycle; the next start undoes it
"""

from __future__ import annotations

from caudal.errors import CaudalError, Exit


class ProjectError(CaudalError):
    """The dbt project cannot be used."""

    code = "CDL-DBT-PROJECT"
    exit_code = Exit.CONFIGURATION


class BuildFailed(CaudalError):
    """dbt could not build a model; `nodes` names them."""

    code = "CDL-DBT-BUILD"

    def __init__(self, nodes: tuple[str, ...], *, why: str = "") -> None:
        super().__init__(
            "a model could not be built",
            where=", ".join(nodes),
            why=why,
            fix="see the batch log; readers keep the last good gold",
        )
        self.nodes = nodes


class GateFailed(CaudalError):
    """A check failed, so nothing was published; `failed` names the checks."""

    code = "CDL-GATE"
    exit_code = Exit.QUALITY

    def __init__(self, group: str, cycle: str, failed: tuple[str, ...]) -> None:
        super().__init__(
            f"the gate of group {group} did not pass",
            where=f"cycle {cycle}",
            why=", ".join(failed),
            fix=f"read _quality/{cycle}.json of the lake; readers keep the last good gold",
        )
        self.group, self.cycle, self.failed = group, cycle, failed


class NotGated(CaudalError):
    """Publish was asked for versions that no passed gate covers."""

    code = "CDL-NOT-GATED"
    exit_code = Exit.QUALITY


class Stopped(CaudalError):
    """The process was told to end; the open cycle is left to the next start."""

    code = "CDL-STOPPED"
    retryable = True

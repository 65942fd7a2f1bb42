"""The one error root.

    CaudalError                 facts, a stable code, an exit code
    ├── TransientError          trying again makes sense (exit 6)
    │   └── CircuitOpen         the breaker of a host is open (caudal.outgoing)
    ├── SettingsError           configuration or preflight (exit 3)
    ├── UsageError              the command line does not fit (exit 2)
    └── <stage>.errors.*        each stage's own

Exit codes are part of the command's interface: scripts and orchestrators branch on them.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every verb, documented in `caudal --help`."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    CONFIGURATION = 3
    CONTRACT = 4
    QUALITY = 5
    UNREACHABLE = 6
    INVARIANT = 7
    PENDING = 10


class CaudalError(Exception):
    """An error that carries facts: what happened, where, why, how to fix it, and a stable code.

    None of the facts may hold a personal value: name the field and the rule instead.
    """

    code: str = "CDL-UNEXPECTED"
    exit_code: int = Exit.UNEXPECTED
    retryable: bool = False

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "", code: str | None = None) -> None:
        self.what, self.where, self.why, self.fix = what, where, why, fix
        if code is not None:
            self.code = code
        super().__init__(what)

    def facts(self) -> dict[str, object]:
        """The error as a flat record, for JSON output and structured logs."""
        named = {"what": self.what, "where": self.where, "why": self.why, "fix": self.fix}
        return {"code": self.code, **{k: v for k, v in named.items() if v}, "retryable": self.retryable}

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.what}"]
        if self.where:
            parts.append(f"at {self.where}")
        if self.why:
            parts.append(f"because {self.why}")
        if self.fix:
            parts.append(f"fix: {self.fix}")
        return "; ".join(parts)


class TransientError(CaudalError):
    """Something else is away or slow; the same call may succeed later."""

    code = "CDL-UNREACHABLE"
    exit_code = Exit.UNREACHABLE
    retryable = True

    def __init__(
        self,
        what: str,
        *,
        retry_after: float = 5.0,
        where: str = "",
        why: str = "",
        fix: str = "",
        code: str | None = None,
    ) -> None:
        super().__init__(what, where=where, why=why, fix=fix, code=code)
        self.retry_after = retry_after
        """Seconds after which a caller should try again (HTTP Retry-After)."""


class SettingsError(CaudalError):
    """A setting is missing, malformed or contradicts another."""

    code = "CDL-SETTINGS"
    exit_code = Exit.CONFIGURATION


class UsageError(CaudalError):
    """The command line does not fit."""

    code = "CDL-USAGE"
    exit_code = Exit.USAGE

"""The result of one proof of `caudal verify`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """One invariant, examined. `findings` name places and counts, never a personal value."""

    invariant: int
    name: str
    ok: bool
    examined: int
    detail: str = ""
    findings: tuple[str, ...] = field(default=())

    def record(self) -> dict[str, object]:
        """The check as JSON-ready facts."""
        return {
            "invariant": self.invariant,
            "name": self.name,
            "ok": self.ok,
            "examined": self.examined,
            "detail": self.detail,
            "findings": list(self.findings),
        }

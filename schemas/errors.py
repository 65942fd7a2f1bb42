"""Errors of the contracts.

CaudalError
├── ContractError      a contract file cannot be used: says file, line and what to write instead (exit 4)
│   └── NotReleasable  the files are fine, but what is already released forbids the change (exit 4)
├── RulesError         the rules of product analytics cannot be used (exit 3)
└── Unreachable        broker or registry did not answer in time; trying again helps (exit 6)
"""

from pathlib import Path

from caudal.errors import CaudalError, Exit, TransientError


class ContractError(CaudalError):
    """A contract cannot be used as it is written.

    `topic` is the upper-case word behind ``CDL-CONTRACT-``; `file` and `line` (from 1) say where, `fix` what to write.
    """

    exit_code = Exit.CONTRACT

    def __init__(
        self, topic: str, what: str, *, file: Path | None = None, line: int | None = None, why: str = "", fix: str = ""
    ) -> None:
        place = "" if file is None else str(file) if line is None else f"{file}:{line}"
        super().__init__(what, where=place, why=why, fix=fix, code=f"CDL-CONTRACT-{topic}")
        self.topic = topic
        self.file = file
        self.line = line


class NotReleasable(ContractError):
    """A change that what is already released forbids: another text for a released version, or an incompatible one."""


class Unreachable(TransientError):
    """Broker or registry did not answer in time."""

    code = "CDL-CONTRACT-UNREACHABLE"


class RulesError(CaudalError):
    """The file with the rules of product analytics cannot be used."""

    code = "CDL-PRODUCT-RULES"
    exit_code = Exit.CONFIGURATION

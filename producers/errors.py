"""Errors of publishing. None of them holds a value of the record: only its field and the rule.

CaudalError
├── PublishError
│   ├── RecordRefused      the record does not fit its contract; sending it again changes nothing
│   └── UnknownContract    no such contract or version was released
└── TransientError
    ├── NotDelivered       Kafka has not acknowledged; publish again with the same event id (exit 6)
    └── Unavailable        the queue stayed full until the deadline (exit 6)
"""

from caudal.errors import CaudalError, Exit, TransientError


class PublishError(CaudalError):
    """Root of this stage's own errors."""

    code = "CDL-PUBLISH"


class RecordRefused(PublishError):
    """A record that does not fit: `code` says which rule, `path` which field, `index` which record of the batch."""

    def __init__(self, code: str, path: str, *, contract: str = "", index: int = 0, fix: str = "") -> None:
        where = f"{contract}: {path}" if contract and path else contract or path
        super().__init__("the record was refused", code=code, where=where, fix=fix)
        self.path, self.contract, self.index = path, contract, index


class UnknownContract(PublishError):
    """Nobody released this contract or version."""

    code = "CDL-CONTRACT-UNKNOWN"
    exit_code = Exit.CONTRACT


class NotDelivered(TransientError):
    """`failed` records were given up, `waiting` are not acknowledged yet. The same event ids may be published again."""

    code = "CDL-NOT-DELIVERED"

    def __init__(self, failed: int, waiting: int, *, why: str = "") -> None:
        super().__init__(
            f"Kafka has not acknowledged {failed + waiting} records", why=why, fix="publish the same event ids again"
        )
        self.failed, self.waiting = failed, waiting


class Unavailable(TransientError):
    """Kafka takes no records, and as many wait as memory allows."""

    code = "CDL-BROKER"

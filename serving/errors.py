"""Errors of features and fraud.

CaudalError
├── SpecError          a feature specification cannot be used (exit 4)
├── ModelError         a model file is missing parts, or its hash does not fit its content (exit 3)
├── NoHistory          there is nothing to train on (exit 3)
├── NoDecision         no such decision in silver (exit 2)
├── Refused            a request or record does not fit: code and field, HTTP 4xx
└── StoreAway          Redis does not answer, or holds less than Kafka has shown (exit 6, HTTP 503)
"""

from __future__ import annotations

from caudal.errors import CaudalError, Exit, TransientError


class SpecError(CaudalError):
    """A feature specification cannot be used."""

    code = "CDL-FEATURES"
    exit_code = Exit.CONTRACT


class ModelError(CaudalError):
    """A model file is not what its hash says, or not for these features."""

    code = "CDL-MODEL"
    exit_code = Exit.CONFIGURATION


class NoHistory(CaudalError):
    """There are no transactions to train on."""

    code = "CDL-HISTORY"
    exit_code = Exit.CONFIGURATION


class NoDecision(CaudalError):
    """No such decision."""

    code = "CDL-DECISION"
    exit_code = Exit.USAGE


class Refused(CaudalError):
    """A record or request that does not fit. `path` names the field, never its value."""

    code = "CDL-SHAPE"
    status = 422

    def __init__(self, code: str, path: str = "", *, what: str = "the record does not fit", status: int = 422) -> None:
        super().__init__(what, where=path, code=code)
        self.path = path
        self.status = status


class StoreAway(TransientError):
    """Redis does not answer, or is being filled: no value is better than a wrong one."""

    code = "CDL-STORE"

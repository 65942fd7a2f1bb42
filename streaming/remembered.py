"""Expressions that are the same for each batch of a contract, made once.

Making them, column by column, over the bridge to the JVM was a tenth of what a small batch took.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from schemas.contract import Contract

T = TypeVar("T")
# Far above three for each of some hundred contracts and their writers.
_MOST = 3000
_made: dict[Hashable, tuple[Contract, Any]] = {}


def remembered(contract: Contract, what: Hashable, make: Callable[[], T]) -> T:
    """What `make` gave for this very contract object and `what` in this JVM; made now when that is new."""
    from pyspark import SparkContext

    key = (id(contract), id(SparkContext._gateway), what)
    found = _made.get(key)
    # The contract is kept with it, so no other one can have its id.
    if found is None:
        if len(_made) >= _MOST:
            _made.clear()
        found = _made[key] = (contract, make())
    made: T = found[1]
    return made

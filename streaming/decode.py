"""Step 5: native Avro by schema id, and proof that a body was read whole: a sentinel behind it.

Writer and reader schema are each wrapped in a record {record, sentinel}. The body followed by the sentinel is good
exactly when the sentinel comes out right: a truncated or garbage body leaves none, trailing bytes leave another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.wire import compact
from streaming.remembered import remembered
from streaming.writers import Writer

if TYPE_CHECKING:
    from pyspark.sql import Column

# Eight different bytes, none a likely Avro prefix, so no shift of the sentinel equals itself.
SENTINEL = bytes.fromhex("f7c16ea39d045b28")
HEADER_BYTES = 5


def wrapped(schema_text: str) -> str:
    """The schema as field `record` of a record whose last field is the sentinel."""
    sentinel = {"type": "fixed", "name": "CaudalSentinel", "size": len(SENTINEL)}
    fields = [{"name": "record", "type": json.loads(schema_text)}, {"name": "sentinel", "type": sentinel}]
    return json.dumps({"type": "record", "name": "CaudalWrapped", "fields": fields})


def decoded(contract: Contract, writers: Sequence[Writer], longest: int | None = None) -> Column:
    """A struct {record, sentinel} of the contract's newest wire form, null where no writer fits.

    A value of more than `longest` bytes is not looked into. Reads the raw columns `value` and `schema_id`. With one
    writer, the steady state, it is one decode and one test.
    """
    what = ("decoded", tuple(writers), longest)
    return remembered(contract, what, lambda: _decoded(contract, writers, longest))


def _decoded(contract: Contract, writers: Sequence[Writer], longest: int | None) -> Column:
    from pyspark.sql import functions as F
    from pyspark.sql.avro.functions import from_avro

    reader = wrapped(compact(contract.latest.wire))
    # Arms of a union by name, so that a further arm is a further field and none changes its meaning.
    options = {"mode": "PERMISSIVE", "avroSchema": reader, "enableStableIdentifiersForUnionType": "true"}
    # A writer that decodes nothing keeps the struct's type when all records of a slice are bad.
    ready = [*writers] or [Writer(-1, compact(contract.latest.wire))]
    chain: Column | None = None
    for writer in ready:
        one = from_avro(body(), wrapped(writer.text), options)
        test = F.col("schema_id") == writer.schema_id
        if longest is not None:
            test = test & (F.length("value") <= longest)
        chain = F.when(test, one) if chain is None else chain.when(test, one)
    assert chain is not None
    return chain


def body() -> Column:
    """The Avro body of raw's `value`, with the sentinel behind it."""
    from pyspark.sql import functions as F

    return F.concat(F.expr(f"substring(value, {HEADER_BYTES + 1})"), F.lit(SENTINEL))


def unread() -> str:
    """SQL over `_decoded` that says why a body was not read: CDL-GARBAGE, CDL-TRAILING, or null when it was."""
    good = f"X'{SENTINEL.hex()}'"
    return (
        "CASE WHEN _decoded.sentinel IS NULL THEN 'CDL-GARBAGE' "
        f"WHEN _decoded.sentinel <> {good} THEN 'CDL-TRAILING' END"
    )

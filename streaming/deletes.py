"""A delete is a null value with headers; here its key, event id, sequence and time become columns."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.contract import Contract

EVENT_ID, SEQUENCE, OBSERVED_AT = "caudal-event-id", "caudal-sequence", "caudal-observed-at"
# Milliseconds that are a TIMESTAMP: years 1 to 9999. Beyond them the conversion would end the batch.
_MS_RANGE = "BETWEEN -62135596800000 AND 253402300799999"


def parsed(contract: Contract, types: Mapping[str, str]) -> dict[str, str]:
    """SQL over raw's columns by silver column name: key, sequence, event id, tenant, `_observed_at`.

    `types` gives the Spark type of each silver column. What cannot be read is null, and the record is then CDL-NULL.
    """
    found: dict[str, str] = {}
    keys = _strings("CAST(key AS STRING)")
    for place, name in enumerate(contract.key):
        found[name] = _typed(f"get({keys}, {place})", types[name])
    sequence = _strings(_header(SEQUENCE))
    for place, name in enumerate(contract.sequence):
        # A field may be both key and sequence; then the key says it.
        found.setdefault(name, _typed(f"get({sequence}, {place})", types[name]))
    found[contract.event_id] = _header(EVENT_ID)
    found["_observed_at"] = _time(_header(OBSERVED_AT))
    # Where the time is not part of the sequence, the deletion happened when it was observed.
    found.setdefault(contract.event_time, found["_observed_at"])
    return found


def _header(name: str) -> str:
    return f"CAST(get(filter(headers, h -> h.key = '{name}'), 0).value AS STRING)"


def _strings(text: str) -> str:
    return f"from_json({text}, 'ARRAY<STRING>')"


def _time(text: str) -> str:
    ms = f"try_cast({text} AS BIGINT)"
    return f"CASE WHEN {ms} {_MS_RANGE} THEN timestamp_millis({ms}) END"


def _typed(text: str, kind: str) -> str:
    return _time(text) if kind == "TIMESTAMP" else f"try_cast({text} AS {kind})"

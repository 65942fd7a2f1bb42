"""Snowplow's enriched events (131 columns, apart by tabs) as events of a contract, of which one model has six.

The set is read where it lies; nothing of it is part of the project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.contracts import field, pii

_BESIDE = [folder / "shared" / "data" for folder in Path(__file__).resolve().parents[2:]]
ROOT = next((data for data in _BESIDE if data.is_dir()), _BESIDE[1]) / "snowplow-enriched"
_SPECS = ROOT / "common-transformer-stream" / "src" / "test" / "resources" / "processing-spec"
FILES = {
    4: _SPECS / "4" / "input" / "events",
    5: _SPECS / "5" / "input" / "input-events-custom-contexts",
    6: _SPECS / "6" / "input" / "input-events-custom-unstruct",
}
_COLUMNS, _CONTEXTS, _UNSTRUCT, _DERIVED = 131, 52, 58, 122
_TEST_A, _SESSION = "parquet_test_a", "com.mparticle.snowplow/session_context"
# Which version of the contract holds a model of the source.
MODELS = {"1-0-0": 1, "1-0-1": 2, "1-0-2": 3, "1-1-0": 4, "1-2-0": 5, "2-0-0": 6}
BREAKING = 6


@dataclass(frozen=True)
class Line:
    """One line: its event and the contract's version, or neither when it is no event at all."""

    raw: bytes
    event: dict[str, Any] | None = None
    version: int = 1


def lines(spec: int) -> Iterator[Line]:
    """All lines of a file, in order."""
    for raw in FILES[spec].read_bytes().split(b"\n"):
        if raw:
            columns = raw.decode().split("\t")
            yield _event(f"spec-{spec}", raw, columns) if len(columns) == _COLUMNS else Line(raw)


def _event(tenant: str, raw: bytes, columns: list[str]) -> Line:
    told = [one for place in (_CONTEXTS, _UNSTRUCT, _DERIVED) for one in _data(columns[place])]
    event: dict[str, Any] = {
        "event_id": columns[6],
        # Not every event names its application, and two files use the same event ids.
        "tenant_id": tenant,
        "thing_id": columns[5],
        # Nanoseconds, without a zone; the collector's clock is UTC.
        "happened_at": f"{columns[3][:23]}+00:00",
        "user_id": columns[12] or None,
        "user_ip": columns[13] or None,
    }
    version = 1
    for one in told:
        model = one["schema"].rpartition("/")[2]
        if _SESSION in one["schema"]:
            event["session"] = one["data"]
        elif _TEST_A in one["schema"]:
            version = MODELS[model]
            event["test_a_2" if version == BREAKING else "test_a"] = one["data"]
    return Line(raw, event, version)


def _data(text: str) -> list[Mapping[str, Any]]:
    if not text:
        return []
    found = json.loads(text, parse_float=Decimal)["data"]
    return found if isinstance(found, list) else [found]


def _record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [field(label, kind) for label, kind in fields.items()]}


def _either(*arms: str) -> dict[str, Any]:
    return {"type": ["null", *arms], "default": None}


def fields(version: int) -> tuple[dict[str, Any], ...]:
    """What the contract's version has besides what every contract has. Each adds what its model adds."""
    least = [number for number in MODELS.values() if number <= min(version, 5)]
    new: dict[int, dict[str, Any]] = {
        1: {}, 2: {"c_field": "boolean"}, 3: {}, 4: {"k_field": "long", "m_field": "string"}, 5: {},
    }  # fmt: skip
    inner = _record("C", d_field="string", **({"e_field": "string"} if version >= 2 else {}))
    outer = _record("A", b_field="string", c_field=inner, **({"d_field": "string"} if version >= 3 else {}))
    item = _record("I", c_field="long", d_field="string", **({"b_field": "string"} if version >= 5 else {}))
    test_a = _record(
        "TestA", a_field=outer, b_field="long", d_field="double", g_field="string", h_field="string",
        i_field={"type": "array", "items": item}, **{n: k for number in least for n, k in new[number].items()},
    )  # fmt: skip
    test_a["fields"].append({"name": "e_field", **_either("boolean", "string")})
    if version >= 4:
        test_a["fields"].append({"name": "f_field", **_either("long", "string")})
        test_a["fields"].append(field("l_field", _record("L", m_field="string", n_field="long", o_field="boolean")))
    if version >= 5:
        test_a["fields"].append(field("j_field", _record("J", union="string")))
    base = (
        pii("user_id", "email"),
        pii("user_ip", "ip"),
        field("session", {"type": "record", "name": "Session", "fields": [{"name": "id", "type": "string"}]}),
        field("test_a", test_a),
    )
    return (*base, field("test_a_2", _second())) if version >= BREAKING else base


def _second() -> dict[str, Any]:
    digits = {"precision9_scale3": (9, 3), "precision18_scale1": (18, 1), "precision38_scale0": (38, 0)}
    money = {
        name: {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        for name, (precision, scale) in digits.items()
    }
    texts = {"type": "array", "items": "string"}
    return _record(
        "TestA2", a_field="string", e_field="string", f_field="long", decimals=_record("Decimals", **money),
        lists=_record("Lists", optional_list=texts, required_list=texts),
    )  # fmt: skip


def broken() -> tuple[dict[str, Any], ...]:
    """Version 6 as its source made it: the same field with other types."""
    return (*fields(5)[:-1], field("test_a", {**_second(), "name": "TestA"}))

"""Random rules over one small contract, and rows to judge with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from schemas import wire
from schemas.contract import Contract, Evolution, Retention, Version

_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
_FIELDS: dict[str, Any] = {
    "a": "long",
    "b": "int",
    "d": _MONEY,
    "e": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 4},
    "x": "double",
    "s": "string",
    "t": "string",
    "f": "boolean",
}
_LONGS = (-(2**63), -(2**63) + 1, -7, -1, 0, 1, 2, 7, 2**53 + 1, 2**63 - 1)
_DOUBLES = (float("-inf"), -1.5, -0.0, 0.0, 0.1, 1.0, 7.0, 2.0**53, float("inf"), float("nan"))
_TEXTS = ("", "a", "A", "ab", "b", "é", "z", "ç", "😀", "a%b", "a_b", "it's", "a\\b", "line\nbreak")
COLUMNS = tuple(_FIELDS)


def contract() -> Contract:
    """A contract with a nullable field of each type that rules know; it lives only in tests."""
    avsc = {
        "type": "record",
        "name": "Sample",
        "fields": [{"name": name, "type": ["null", kind], "default": None} for name, kind in _FIELDS.items()],
    }
    made = Contract(
        id="test.sample", description="", owner="", mode="append", key=(), event_id="s", event_time="a", sequence=(),
        tenant="t", subject=None, refs={}, lateness=timedelta(0), evolution=Evolution(), ingress="sealed",
        history=False, quality=(), sla=(), retention=Retention(),
    )  # fmt: skip
    return replace(made, versions=(Version(1, avsc, wire.derive(made, avsc)),))


def rows() -> st.SearchStrategy[dict[str, Any]]:
    """One row: each field a telling value, or null."""
    cents = st.integers(-(10**9) + 1, 10**9 - 1).map(lambda n: Decimal(n).scaleb(-2))
    fine = st.integers(-(10**6) + 1, 10**6 - 1).map(lambda n: Decimal(n).scaleb(-4))
    values: dict[str, st.SearchStrategy[Any]] = {
        "a": st.sampled_from(_LONGS),
        "b": st.integers(-10, 10),
        "d": st.sampled_from([Decimal("0.00"), Decimal("7.00"), Decimal("-1.50")]) | cents,
        "e": st.sampled_from([Decimal("0.0000"), Decimal("7.0000")]) | fine,
        "x": st.sampled_from(_DOUBLES),
        "s": st.sampled_from(_TEXTS),
        "t": st.sampled_from(_TEXTS),
        "f": st.booleans(),
    }
    return st.fixed_dictionaries({name: st.none() | value for name, value in values.items()})


def numbers() -> st.SearchStrategy[str]:
    """Text of a number-valued expression."""
    literal = st.sampled_from(["0", "1", "7", "-1", "2.5", "0.01", "1e2", "9007199254740993"])
    leaves = st.sampled_from(["a", "b", "d", "e", "x", "length(s)"]) | literal
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            st.tuples(
                st.sampled_from(["a", "b"]), st.sampled_from(["div", "%"]), st.sampled_from(["b", "3", "-1"])
            ).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            inner.map(lambda p: f"(- {p})"),
        ),
        max_leaves=3,
    )


def booleans() -> st.SearchStrategy[str]:
    """Text of a rule."""
    compare = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    texts = st.sampled_from(["s", "t", "'a'", "'é'", "'it\\'s'", "''"])
    leaves = st.one_of(
        st.tuples(numbers(), compare, numbers()).map(" ".join),
        st.tuples(texts, compare, texts).map(" ".join),
        st.tuples(numbers(), numbers(), numbers()).map(lambda p: f"{p[0]} between {p[1]} and {p[2]}"),
        st.sampled_from(["a in (0, 7)", "d in (7, 0.01)", "s not in ('a', '')", "x in (0, 1e2)", "b in (1)"]),
        st.sampled_from(["s like 'a%'", "s not like '_'", "t like '%b'", "s like '%\\'%'", "s like '_%_'"]),
        st.sampled_from(COLUMNS).map(lambda name: f"{name} is null"),
        st.sampled_from(COLUMNS).map(lambda name: f"{name} is not null"),
        st.sampled_from(["f", "not f", "f = true", "f != false"]),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            inner.map(lambda p: f"(not {p})"),
        ),
        max_leaves=4,
    )

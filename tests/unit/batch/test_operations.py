"""Facts become views: literal rows, typed, whatever the values are."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlglot import exp, parse_one

from batch import operations, product, sql
from batch.settings import Prices
from schemas.load import load_catalog
from schemas.product import load

ROOT = Path(__file__).resolve().parents[3]
VERDICT = {
    "table": "fct_orders", "layer": "gold", "code": "NOT_NULL:tenant_id", "ok": False, "severity": "critical",
    "checked": 10, "failing": None, "detail": "it's \\ broken",
}  # fmt: skip


def test_every_view_is_one_select() -> None:
    """Spark's grammar takes each of them, with and without rows."""
    contracts = load_catalog(ROOT / "schemas" / "contracts").values()
    results = [{"group": "live", "cycle": "c1", "at_ms": 0, "results": [VERDICT]}, None]
    for given in (results, []):
        views = operations.views(contracts, {"commerce_order": (2, 30)}, given, Prices()) | product.views(load())
        for body in views.values():
            assert isinstance(parse_one(body, dialect="spark"), exp.Query)


def test_every_contract_is_in_the_view_of_all_silver() -> None:
    """Rows of a contract without a mart of its own cost something too."""
    contracts = load_catalog(ROOT / "schemas" / "contracts")
    views = operations.views(contracts.values(), {}, (), Prices())
    assert all(f"from pinned.{contract.table}" in views["pinned._silver"] for contract in contracts.values())
    assert all(f"'{name}'" in views["pinned._tables"] for name in contracts)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (Decimal("0.023"), "0.023"),
        ("it's", r"'it\'s'"),
        ("a\\", r"'a\\'"),
        (datetime(2026, 3, 1, 10, tzinfo=UTC), "timestamp '2026-03-01 10:00:00.000+00:00'"),
    ],
)
def test_a_literal_is_what_it_says(value: object, expected: str) -> None:
    """No value can end its own quotes."""
    assert expected == sql.literal(value)


def test_there_is_no_literal_for_anything_else() -> None:
    """A value of an unknown kind is a mistake, not a text."""
    with pytest.raises(TypeError, match="list"):
        sql.literal([1])

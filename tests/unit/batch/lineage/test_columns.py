"""Columns of a SELECT are traced to those that they are made of."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from batch.lineage import columns
from batch.lineage.columns import Origin

ORDERS = {"silver.orders": {"id": "string", "total": "decimal(18,2)", "lines": "array<struct<sku: string>>"}}


def test_what_happens_to_a_value_is_told() -> None:
    """A value itself, something made of it, and something made of many of it are three things."""
    sql = """
        with orders as (select * from `silver.orders`)
        select id, upper(id) as name, sum(total) as total, count(*) as orders from orders group by id
    """
    found = columns.of(sql, ORDERS)
    assert (Origin("silver.orders", "id", "IDENTITY"),) == found["id"]
    assert (Origin("silver.orders", "id", "TRANSFORMATION"),) == found["name"]
    assert (Origin("silver.orders", "total", "AGGREGATION"),) == found["total"]
    assert found["orders"] == ()


def test_unions_joins_and_exploded_arrays_are_followed() -> None:
    """A column of a union comes from all its parts, one of an array's elements from the array."""
    sql = """
        with lines as (
            select orders.id, line.sku from `silver.orders` as orders
            lateral view posexplode(orders.lines) as place, line
        ),
        more as (select id, sku from `silver.more`)
        select id, sku from lines union all select id, sku from more
    """
    found = columns.of(sql, {**ORDERS, "silver.more": {"id": "string", "sku": "string"}})
    assert found["id"] == (Origin("silver.more", "id"), Origin("silver.orders", "id"))
    assert found["sku"] == (Origin("silver.more", "sku"), Origin("silver.orders", "lines", "TRANSFORMATION"))


def test_what_cannot_be_read_tells_nothing() -> None:
    """Lineage is never guessed, and never a reason to fail."""
    assert columns.of("select from where", ORDERS) == {}
    assert columns.of("drop table t", ORDERS) == {}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("{0}", "cast({0} as string)"))), min_size=1, max_size=6)
)
def test_renames_lead_back_to_the_source(steps: list[tuple[str, str]]) -> None:
    """However often a column is renamed on its way, its origin is found, and one change on the way is remembered."""
    ctes, last, column = [], "`silver.t`", "x"
    for number, (name, form) in enumerate(steps):
        ctes.append(f"s{number} as (select {form.format(column)} as {name} from {last})")
        last, column = f"s{number}", name
    found = columns.of(f"with {', '.join(ctes)} select {column} as result from {last}", {"silver.t": {"x": "string"}})
    changed = any(form != "{0}" for _, form in steps)
    assert found["result"] == (Origin("silver.t", "x", "TRANSFORMATION" if changed else "IDENTITY"),)

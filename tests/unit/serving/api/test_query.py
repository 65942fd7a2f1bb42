from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from serving.api.errors import BadQuery
from serving.api.query import Column, Query, literal, parse
from serving.api.scope import select

COLUMNS = (
    Column("tenant_id", "text"),
    Column("n", "integer"),
    Column("amount", "decimal"),
    Column("score", "double"),
    Column("paid", "boolean"),
    Column("day", "date"),
    Column("at", "time"),
    Column("tags", "other"),
)


def asked(*parameters: tuple[str, str]) -> Query:
    return parse(parameters, COLUMNS, default_limit=100, max_limit=1000)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> DeltaTable:
    path = str(tmp_path_factory.mktemp("query") / "t")
    rows = pa.table(
        {
            "tenant_id": ["a", "a", "b", "o'neill\\"],
            "n": [1, 2, 3, 4],
            "amount": pa.array([Decimal("1.10"), Decimal("2.20"), None, Decimal("4")], pa.decimal128(18, 2)),
            "score": [0.5, 1.5, 2.5, float("nan")],
            "paid": [True, False, None, True],
            "day": [dt.date(2026, 1, d) for d in (1, 2, 3, 4)],
            "at": pa.array([dt.datetime(2026, 1, d, tzinfo=dt.UTC) for d in (1, 2, 3, 4)], pa.timestamp("us", "UTC")),
            "tags": [["x"], [], None, ["y"]],
        }
    )
    write_deltalake(path, rows)
    return DeltaTable(path)


def test_defaults() -> None:
    """No parameters mean all columns, the default limit, and an order that breaks every tie."""
    query = asked()
    assert tuple(c.name for c in COLUMNS) == query.columns
    assert query.limit == 100
    assert [c.name for c in COLUMNS if c.comparable] == [name for name, _ in query.order]


@pytest.mark.parametrize(
    ("parameter", "value", "numbers"),
    [
        ("n", "2", [2]),
        ("n.gte", "3", [3, 4]),
        ("amount.lt", "2.2", [1]),
        ("amount", "4.00", [4]),
        ("score.gt", "0.6", [2, 3, 4]),  # NaN is the largest double in DataFusion as in Spark
        ("paid", "false", [2]),
        ("day.lte", "2026-01-02", [1, 2]),
        ("at.gte", "2026-01-03T00:00:00+00:00", [3, 4]),
        ("at.lt", "2026-01-01T22:00:00-03:00", [1, 2]),
        ("tenant_id", "o'neill\\", [4]),
        ("tenant_id.ne", "a", [3, 4]),
    ],
)
def test_filters(table: DeltaTable, parameter: str, value: str, numbers: list[int]) -> None:
    """A filter of each type selects what it says, on a real table."""
    query = asked((parameter, value), ("columns", "n"), ("order", "n"))
    assert numbers == select(table, None, query.sql()).column("n").to_pylist()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ([("amuont", "1")], "did you mean amount?"),
        ([("n.gtx", "1")], "did you mean gt"),
        ([("columns", "n,scoer")], "did you mean score?"),
        ([("order", "tags")], "no order"),
        ([("tags", "x")], "cannot be compared"),
        ([("n", "one")], "does not fit its column"),
        ([("n", str(2**63))], "does not fit its column"),
        ([("day", "2026-13-01")], "does not fit its column"),
        ([("amount", "NaN")], "does not fit its column"),
        ([("amount", "1e400")], "does not fit its column"),
        ([("score", "inf")], "does not fit its column"),
        ([("paid", "maybe")], "does not fit its column"),
        ([("limit", "0")], "limit"),
        ([("limit", "1001")], "limit"),
        ([("limit", "-1")], "limit"),
        ([("limit", "٣")], "limit"),
        ([("limit", "1"), ("limit", "2")], "twice"),
        ([("tenant_id", "x" * 257)], "too long"),
        ([("n", "1")] * 17, "too many"),
    ],
)
def test_refusals(parameters: list[tuple[str, str]], says: str) -> None:
    """What does not fit is refused with the nearest name, and the given value is not repeated."""
    with pytest.raises(BadQuery) as refused:
        asked(*parameters)
    assert says in str(refused.value)
    assert "scoer" not in str(refused.value)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_leaves_its_place(table: DeltaTable, name: str, value: str) -> None:
    """Whatever is asked, the answer is a refusal or a SELECT on the relation; nothing else ever runs."""
    for parameters in ([(name, value)], [("tenant_id", value)], [("columns", name)], [("order", name)]):
        try:
            query = asked(*parameters)
        except BadQuery:
            continue
        found = select(table, None, query.sql())
        if parameters[0][0] == "tenant_id" and value not in ("a", "b", "o'neill\\"):
            assert found.num_rows == 0


@pytest.mark.parametrize(
    "value",
    ["' OR 1=1 --", "'; COPY mart TO '/tmp/x' --", "\\' OR ''='", "x') UNION SELECT 1 --", "\u2019 or 1=1", "a\x00b"],
)
def test_quotes_end_no_literal(table: DeltaTable, value: str) -> None:
    """An attack in a value is a value that nothing equals."""
    try:
        text = literal(value, COLUMNS[0])
    except BadQuery:
        return
    assert select(table, None, f"SELECT n FROM mart WHERE tenant_id = {text}").num_rows == 0


def test_scope_is_the_floor(table: DeltaTable) -> None:
    """A query that asks for everything sees one tenant's rows, and cannot name the table below the view."""
    assert select(table, "a", "SELECT * FROM mart WHERE 1=1 OR tenant_id = 'b'")["tenant_id"].to_pylist() == ["a", "a"]
    assert select(table, "nobody", "SELECT * FROM mart").num_rows == 0
    assert select(table, "' OR ''='", "SELECT * FROM mart").num_rows == 0
    for name in ("t", "t_", "information_schema.tables"):
        with pytest.raises(Exception, match=r"(?i)not found|planning|information_schema"):
            select(table, "a", f"SELECT * FROM {name}")


def test_pages_neither_overlap_nor_leave_gaps(table: DeltaTable) -> None:
    """Walking by offset gives every row once, also when the order asked for has ties."""
    seen: list[int] = []
    for offset in range(4):
        query = asked(("order", "paid"), ("limit", "1"))
        page = Query(query.columns, query.filters, query.order, 1, offset)
        seen += select(table, None, page.sql()).column("n").to_pylist()
    assert sorted(seen) == [1, 2, 3, 4]

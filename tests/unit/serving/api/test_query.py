from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from serving.api.ask import from_parameters
from serving.api.errors import ApiError
from serving.api.query import Bounds, Column, Query, literal, plan
from serving.api.scope import Relation, select

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
    return plan(from_parameters(parameters), COLUMNS, Bounds(100, 1000))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Relation:
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
    return Relation(DeltaTable(path))


def test_defaults() -> None:
    """No parameters mean all columns, the default limit, and an order that breaks every tie."""
    query = asked()
    assert tuple(c.name for c in COLUMNS) == tuple(o.name for o in query.outputs)
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
        ("at.gt", "0001-01-01T00:00:00Z", [1, 2, 3, 4]),
        ("at.gt", "9999-12-31T23:59:59Z", []),
        ("n.in", "1,3,9", [1, 3]),
        ("tenant_id.in", "b,c", [3]),
        ("amount.null", "true", [3]),
        ("paid.null", "false", [1, 2, 4]),
        ("from", "2026-01-03", [3, 4]),
        ("to", "2026-01-03T00:00:00Z", [1, 2]),
        ("tenant_id", "o'neill\\", [4]),
        ("tenant_id.ne", "a", [3, 4]),
    ],
)
def test_filters(table: Relation, parameter: str, value: str, numbers: list[int]) -> None:
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
        ([("n.in", "1,x")], "does not fit its column"),
        ([("n.in", ",".join(["1"] * 101))], "too long"),
        ([("paid.null", "perhaps")], "true or false"),
        ([("time", "n"), ("from", "1")], "holds no time"),
        ([("columns", "")], "empty"),
        ([("format", "xml")], "unknown format"),
        ([("measures", "summ.amount")], "did you mean sum?"),
        ([("measures", "sum.paid")], "does not fit its column"),
        ([("measures", "sum")], "needs a column"),
        ([("group", "at.year")], "unknown bucket"),
        ([("group", "n.day")], "no time"),
        ([("group", "n,n")], "twice"),
        ([("group", "tags")], "cannot be grouped"),
        ([("group", "n"), ("columns", "n")], "exclude"),
        ([("group", "n"), ("order", "amount")], "unknown column"),
    ],
)
def test_refusals(parameters: list[tuple[str, str]], says: str) -> None:
    """What does not fit is refused with the nearest name, and the given value is not repeated."""
    with pytest.raises(ApiError) as refused:
        asked(*parameters)
    assert says in str(refused.value)
    assert "scoer" not in str(refused.value)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_leaves_its_place(table: Relation, name: str, value: str) -> None:
    """Whatever is asked, the answer is a refusal or a SELECT on the relation; nothing else ever runs."""
    for parameters in ([(name, value)], [("tenant_id", value)], [("columns", name)], [("order", name)]):
        try:
            query = asked(*parameters)
        except ApiError:
            continue
        found = select(table, None, query.sql())
        if parameters[0][0] == "tenant_id" and value not in ("a", "b", "o'neill\\"):
            assert found.num_rows == 0


@pytest.mark.parametrize(
    "value",
    ["' OR 1=1 --", "'; COPY mart TO '/tmp/x' --", "\\' OR ''='", "x') UNION SELECT 1 --", "\u2019 or 1=1", "a\x00b"],
)
def test_quotes_end_no_literal(table: Relation, value: str) -> None:
    """An attack in a value is a value that nothing equals."""
    try:
        text = literal(value, COLUMNS[0])
    except ApiError:
        return
    assert select(table, None, f"SELECT n FROM mart WHERE tenant_id = {text}").num_rows == 0


def test_scope_is_the_floor(table: Relation) -> None:
    """A query that asks for everything sees one tenant's rows, and cannot name the table below the view."""
    assert select(table, "a", "SELECT * FROM mart WHERE 1=1 OR tenant_id = 'b'")["tenant_id"].to_pylist() == ["a", "a"]
    assert select(table, "nobody", "SELECT * FROM mart").num_rows == 0
    assert select(table, "' OR ''='", "SELECT * FROM mart").num_rows == 0
    for name in ("t", "t_", "information_schema.tables"):
        with pytest.raises(Exception, match=r"(?i)not found|planning|information_schema"):
            select(table, "a", f"SELECT * FROM {name}")


def test_pages_neither_overlap_nor_leave_gaps(table: Relation) -> None:
    """Walking by offset gives every row once, also when the order asked for has ties."""
    seen: list[int] = []
    for offset in range(4):
        query = asked(("order", "paid"), ("limit", "1"))
        page = dataclasses.replace(query, offset=offset)
        seen += select(table, None, page.sql()).column("n").to_pylist()
    assert sorted(seen) == [1, 2, 3, 4]


def test_aggregates(table: Relation) -> None:
    """Groups, buckets of time and measures, ordered by a measure; a group of nothing is a group."""
    by_paid = asked(("group", "paid"), ("measures", "count,sum.amount,max.n"), ("order", "-count"))
    assert select(table, None, by_paid.sql()).to_pylist() == [
        {"paid": True, "count": 2, "sum_amount": Decimal("5.10"), "max_n": 4},
        {"paid": False, "count": 1, "sum_amount": Decimal("2.20"), "max_n": 2},
        {"paid": None, "count": 1, "sum_amount": None, "max_n": 3},
    ]
    monthly = select(table, None, asked(("group", "at.month"), ("measures", "distinct.tenant_id")).sql())
    assert monthly.to_pylist() == [{"at_month": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "distinct_tenant_id": 3}]
    assert select(table, "a", asked(("measures", "avg.score")).sql()).to_pylist() == [{"avg_score": 1.0}]


def across(*parameters: tuple[str, str], cell: int = 2) -> Query:
    return plan(from_parameters(parameters), COLUMNS, Bounds(100, 1000, cell))


def test_few_tenants_make_no_cell(table: Relation) -> None:
    """Across tenants a row needs so many tenants behind it; one that has fewer is left out, not counted."""
    rows = select(table, None, across(("group", "paid"), ("measures", "sum.n")).sql()).to_pylist()
    assert rows == [{"paid": True, "sum_n": 5}]
    assert select(table, None, across(("measures", "count"), cell=4).sql()).num_rows == 0


@pytest.mark.parametrize(
    "parameters",
    [
        [("group", "tenant_id")],
        [("measures", "max.amount")],
        [("measures", "count.tenant_id")],
        [("measures", "count"), ("tenant_id.ne", "a")],
    ],
)
def test_no_question_singles_a_tenant_out(parameters: list[tuple[str, str]]) -> None:
    """Naming tenants, taking one away, or asking for the greatest value of all is refused."""
    with pytest.raises(ApiError, match=r"tenant"):
        across(*parameters)

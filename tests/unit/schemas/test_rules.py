"""Rules judge rows with SQL's three values, exactly, and refuse everything outside the grammar."""

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import rule_python, rules
from schemas.contract import Rule
from schemas.errors import ContractError
from schemas.load import BUILT_IN_ROOT, load_catalog
from tests.support.rules import COLUMNS, booleans, contract, rows

SAMPLE = contract()
ORDER = load_catalog(BUILT_IN_ROOT)["commerce.order"]


def value(text: str, row: dict[str, Any]) -> bool | None:
    """The raw verdict: true, false or null."""
    verdict: bool | None = rule_python.compile_(rules.parse(Rule("X", text), SAMPLE))(row)
    return verdict


def logic(leaves: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            inner.map(lambda p: f"(not {p})"),
        ),
        max_leaves=6,
    )


SQLITE_LEAVES = (
    "b > 1", "b between -2 and 3", "b not between 0 and 5", "b in (1, 2, 3)", "b not in (0, 1)", "b is null",
    "s is not null", "s = t", "s < t", "s >= 'b'", "length(s) = 1", "s like 'a%'", "s not like '_'", "b + 1 > b * 2",
    "b - 3 <= -b", "f", "b % 3 = 0", "s in ('a', 'é')", "s != ''",
)  # fmt: skip


@given(logic(SQLITE_LEAVES), rows())
def test_three_valued_logic_is_sqls(text: str, row: dict[str, Any]) -> None:
    """On whole numbers, texts and nulls the closure says what another SQL engine says."""
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA case_sensitive_like = ON")
        database.execute("CREATE TABLE r (b INTEGER, s TEXT, t TEXT, f INTEGER)")
        database.execute("INSERT INTO r VALUES (?, ?, ?, ?)", [row[name] for name in ("b", "s", "t", "f")])
        (found,) = database.execute(f"SELECT {text} FROM r").fetchone()
    database.close()
    assert value(text, row) is (None if found is None else bool(found))


@given(st.integers(-(10**18), 10**18), st.integers(-(10**6), 10**6), st.integers(-100, 100))
def test_decimals_are_exact(cents: int, fine: int, whole: int) -> None:
    """Sums, differences and products of decimals lose no digit, whatever the amounts are."""
    assume(abs(cents) < 10**9)
    row = {"d": Decimal(cents).scaleb(-2), "e": Decimal(fine).scaleb(-4), "b": whole}
    assert value("d + e - d = e", row) is True
    assert value("d * 100 = d * 99 + d", row) is True
    assert value("d >= b", row) is (cents >= whole * 100)
    assert value("d * e > 0", row) is (cents * fine > 0)


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("a + 1 > 0", {"a": 2**63 - 1}, None),
        ("- a > 0", {"a": -(2**63)}, None),
        ("a div -1 > 0", {"a": -(2**63)}, None),
        ("a div b = 2", {"a": 7, "b": 3}, True),
        ("a div b = -2", {"a": -7, "b": 3}, True),
        ("a % b = -1", {"a": -7, "b": 3}, True),
        ("a % b = 1", {"a": 7, "b": -3}, True),
        ("a / b = 3.5", {"a": 7, "b": 2}, True),
        ("a / b = 3.5", {"a": 7, "b": 0}, None),
        ("a div b = 1", {"a": 7, "b": 0}, None),
        ("a % b = 1", {"a": 7, "b": 0}, None),
        ("x / x = 1", {"x": 0.0}, None),
        ("x > 1e300", {"x": float("nan")}, True),
        ("x = x", {"x": float("nan")}, True),
        ("x = 0", {"x": -0.0}, True),
        ("d = 0.1", {"d": Decimal("0.10")}, True),
        ("x = d", {"d": Decimal("0.10"), "x": 0.1}, True),
        ("a = 9007199254740992", {"a": 2**53 + 1}, False),
        ("a = x", {"a": 2**53 + 1, "x": 2.0**53}, True),
        ("length(s) = 1", {"s": "😀"}, True),
        ("s < t", {"s": "z", "t": "é"}, True),
        ("s < t", {"s": "\uffff", "t": "😀"}, True),
        ("s like '%b'", {"s": "a\nb"}, True),
        ("s like 'a.b'", {"s": "axb"}, False),
        ("a in (1, 2)", {}, None),
        ("not (a in (1, 2))", {}, None),
        ("a > 0 and b > 0", {"a": -1}, False),
        ("a > 0 or b > 0", {"a": 1}, True),
        ("a > 0 or b > 0", {"a": -1}, None),
    ],
)
def test_the_corners(text: str, row: dict[str, Any], expected: bool | None) -> None:
    """Overflow, zero, NaN, signs, wide characters and unknown values each have one defined verdict."""
    assert value(text, row) is expected


@pytest.mark.parametrize(
    "text",
    [
        "", "total >=", "1 = 1", "true", "total", "total >= 'a'", "currency = 3", "nothing > 1", "o.total > 1",
        "total > (select 1)", "exists (select 1)", "total in (select 1)", "items_count in (1, null)",
        "items_count in (total)",
        "currency rlike 'x'", "currency ilike 'x'", "currency like 'x' escape '!'", "currency like order_name",
        "currency like any ('a', 'b')", "length(total) > 1", "length(currency, total) > 1", "cast(total as int) > 1",
        "total between symmetric 1 and 2", "total > random()", "upper(currency) = 'BRL'", "line_items[0] is null",
        "customer_email = 'x'", "length(customer_email) > 3", "line_items = 1", "currency || 'x' = 'BRLx'",
        "created_at > 5", "created_at + 1 > updated_at", "total > 1; select 1", "total is true", "total <=> 1",
        "total = ?", "total = :p", "items_count > 99999999999999999999", "total > 1 order by 1", "(total, 1) = (1, 1)",
        "case when total > 1 then true else false end", "TOTAL > 1", "total * total * total > 1", "total div 2 = 1",
    ],
)  # fmt: skip
def test_what_is_outside_the_grammar_is_refused(text: str) -> None:
    """A rule with any other node, or with types that do not fit, is an error that names rule and contract."""
    with pytest.raises(ContractError) as refused:
        rules.parse(Rule("BAD", text), ORDER)
    assert refused.value.code == "CDL-CONTRACT-RULE"
    assert "BAD" in refused.value.what
    assert refused.value.exit_code == 4


@given(booleans(), rows())
def test_the_python_form_never_fails(text: str, row: dict[str, Any]) -> None:
    """Whatever parses gives true, false or null for every row, and raises for none."""
    try:
        parsed = rules.parse(Rule("X", text), SAMPLE)
    except ContractError:
        assume(False)
    assert rule_python.compile_(parsed)(row) in (True, False, None)


def test_null_passes_unless_said() -> None:
    """An unknown verdict passes; with `nulls: fail` it fails; Spark's form says the same."""
    lenient, strict = Rule("X", "a > 0"), Rule("X", "a > 0", nulls="fail")
    assert rules.compile_python(lenient, SAMPLE)({}) is True
    assert rules.compile_python(strict, SAMPLE)({}) is False
    assert rules.compile_spark(lenient, SAMPLE) == "coalesce((`a` > 0L), TRUE)"
    assert rules.compile_spark(strict, SAMPLE) == "coalesce((`a` > 0L), FALSE)"


def test_times_compare_in_every_form() -> None:
    """A time may be a datetime or epoch milliseconds, on either side."""
    passes = rules.compile_python(Rule("X", "created_at <= updated_at"), ORDER)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    ms = int(noon.timestamp() * 1000)
    assert passes({"created_at": ms, "updated_at": noon}) is True
    assert passes({"created_at": ms + 1, "updated_at": noon}) is False


def test_sealed_fields_and_refs_can_be_asked_for_presence() -> None:
    """A rule may ask whether a personal field or a ref is there, sealed or in clear, and nothing else."""
    passes = rules.compile_python(Rule("X", "customer_email is not null or shipping_ref is not null"), ORDER)
    assert passes({"customer_email": {"mask": "ab***@x", "token": b""}}) is True
    assert passes({"customer_email": "somebody"}) is True
    assert passes({"shipping_ref": "r1"}) is True
    assert passes({"customer_email": None}) is False


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_has_a_spark_column(name: str) -> None:
    """Each field that a rule may read is written as a quoted column."""
    assert f"`{name}`" in rules.compile_spark(Rule("X", f"{name} is null"), SAMPLE)

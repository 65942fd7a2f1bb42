"""Results hold verdicts and counts, and decide whether gold may be published."""

from __future__ import annotations

from pathlib import Path

from caudal.lake import LocalLake
from quality import results
from quality.marts import Mart
from quality.results import Result

GOOD = Result("fct_orders", "gold", "NOT_NULL:tenant_id", True, "critical", 10, 0)
WARNING = Result("commerce_order", "silver", "RULE:NO_CUSTOMER", False, "warning", 10, 3)
BAD = Result("fct_orders", "gold", "AT_LEAST:total", False, "critical", 10, 1)


def test_a_warning_does_not_block() -> None:
    """Only a critical check keeps gold from being published."""
    assert results.passed([GOOD, WARNING])
    assert not results.passed([GOOD, WARNING, BAD])


def test_the_latest_results_are_found_by_group(tmp_path: Path) -> None:
    """The dashboard reads one small file a group."""
    lake = LocalLake(str(tmp_path))
    results.save(lake, "c1", "live", 1, [GOOD])
    results.save(lake, "c2", "live", 2, [GOOD, BAD])
    found = results.latest(lake, "live")
    assert found is not None
    assert (found["cycle"], found["ok"], len(found["results"])) == ("c2", False, 2)
    assert results.latest(lake, "full") is None


def test_a_mart_has_the_columns_that_its_yaml_promises() -> None:
    """Another type, a missing column or another order keeps gold from being published, and the evidence names it."""
    mart = Mart("m", "live", "", {"a": "string", "n": "bigint"}, ())
    assert results.shape(mart, [("a", "string"), ("n", "bigint")]).ok
    for kinds, detail in (
        ([("a", "string"), ("n", "int")], "columns: n"),
        ([("a", "string")], "columns: n"),
        ([("a", "string"), ("n", "bigint"), ("b", "int")], "columns: b"),
        ([("n", "bigint"), ("a", "string")], "order of columns"),
    ):
        found = results.shape(mart, kinds)
        assert (found.blocks, found.detail) == (True, detail)

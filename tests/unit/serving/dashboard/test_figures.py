from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from caudal.lake import Lake
from caudal.settings import Settings
from serving.api.gold import Reader
from serving.dashboard.figures import STATEMENTS, Figures
from tests.support import gold_lake as gold

MARTS = Path(__file__).resolve().parents[4] / "dbt" / "models" / "marts"


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_figures_ask_for_columns_that_the_mart_has(name: str) -> None:
    """Every column of a figure's statement stands in its mart's model."""
    mart, sql = STATEMENTS[name]
    parsed = sqlglot.parse_one(sql)
    own = {alias.alias for alias in parsed.find_all(exp.Alias)}
    asked = {column.name for column in parsed.find_all(exp.Column)} - own
    model = (MARTS / f"{mart}.sql").read_text()
    assert asked
    assert {c for c in asked if not re.search(rf"\b{c}\b", model)} == set()


def test_a_figure_is_asked_again_only_when_its_version_moved(tmp_path: Path) -> None:
    """The same published version gives the kept answer, a new one a new answer, an unpublished mart none."""
    lake = Lake.open(Settings(data_dir=tmp_path))
    reader = Reader(lake, groups=("live", "full"), open_tables=8)
    figures = Figures(lake, reader)
    assert set(figures.of_gold(None).values()) == {None}
    assert figures.dead_letters() is None
    gold.publish_live(lake)
    first, again = figures.of_gold(reader.current()), figures.of_gold(reader.current())
    assert all(first[name] is again[name] for name in STATEMENTS)
    assert first["orders"] == [{"orders": 30, "shops": 2, "without_customer": 4}]
    gold.publish_live(lake, scale=2)
    assert (figures.of_gold(reader.current())["orders"] or [{}])[0]["orders"] == 60
    codes = ["CDL-TRAILING", "CDL-MAGIC", "CDL-NULL", "CDL-MAGIC", "CDL-PLAINTEXT"]
    gold.dead_letters(lake, codes, healed=1, purged=1)
    groups = [(d["code"], d["path"], d["contract"], d["records"]) for d in figures.dead_letters() or []]
    assert groups == [("CDL-MAGIC", "total", "shop.order", 2), ("CDL-NULL", "total", "shop.order", 1)]

from __future__ import annotations

from pathlib import Path

import pytest

from caudal.lake import Lake
from caudal.settings import Settings
from schemas.manifest import Group, publish
from serving.api.gold import Reader
from serving.dashboard.figures import Figures
from serving.dashboard.statements import PAGES
from tests.support import dashboard_lake, gold_lake


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Reader]:
    lake = Lake.open(Settings(data_dir=tmp_path_factory.mktemp("lake")))
    dashboard_lake.fill(lake)
    return lake, Reader(lake, groups=("live", "full"), open_tables=64)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_figure_has_an_answer(filled: tuple[Lake, Reader], page: str) -> None:
    """Each statement runs on its mart as the mart's YAML describes it, and finds the rows that are there."""
    lake, reader = filled
    figures = Figures(lake, reader).of(page, reader.current())
    assert {name: f["why"] for name, f in figures.items() if f["why"]} == {}
    assert [name for name, f in figures.items() if not f["rows"]] == []


def test_an_empty_mart_has_empty_figures(tmp_path: Path) -> None:
    """A mart that is published without rows gives no line, or one that says nothing, and never an error."""
    lake = Lake.open(Settings(data_dir=tmp_path))
    tables = {
        mart: gold_lake.write(lake, "gold", mart, dashboard_lake.schema(mart), []) for mart in dashboard_lake.MARTS
    }
    publish(lake, "live", Group("live-1", 1, {}, tables))
    reader = Reader(lake, groups=("live",), open_tables=64)
    figures = Figures(lake, reader)
    found = [figure for page in PAGES for figure in figures.of(page, reader.current()).values()]
    assert {figure["why"] for figure in found} == {""}
    assert max(len(figure["rows"]) for figure in found) <= 1


def test_a_figure_is_asked_again_only_when_its_version_moved(tmp_path: Path) -> None:
    """The same published version gives the kept answer, a new one a new answer, an unpublished mart says so."""
    lake = Lake.open(Settings(data_dir=tmp_path))
    reader = Reader(lake, groups=("live", "full"), open_tables=8)
    figures = Figures(lake, reader)
    assert {f["why"] for f in figures.of("overview", None).values()} == {"unpublished"}
    assert figures.dead_letters() is None
    gold_lake.publish_live(lake)
    first, again = figures.of("overview", reader.current()), figures.of("overview", reader.current())
    assert all(first[name]["rows"] is again[name]["rows"] for name in PAGES["overview"])
    assert first["orders"] == {"mart": "revenue_by_shop", "rows": [{"orders": 30, "shops": 2}], "why": ""}
    gold_lake.publish_live(lake, scale=2)
    assert figures.of("overview", reader.current())["orders"]["rows"][0]["orders"] == 60
    codes = ["CDL-TRAILING", "CDL-MAGIC", "CDL-NULL", "CDL-MAGIC", "CDL-PLAINTEXT"]
    gold_lake.dead_letters(lake, codes, healed=1, purged=1)
    groups = [(d["code"], d["path"], d["contract"], d["records"]) for d in figures.dead_letters() or []]
    assert groups == [("CDL-MAGIC", "total", "shop.order", 2), ("CDL-NULL", "total", "shop.order", 1)]


def test_a_table_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A figure whose files are away says so, and the others still have their answers."""
    lake = Lake.open(Settings(data_dir=tmp_path))
    gold_lake.publish_live(lake)
    reader = Reader(lake, groups=("live",), open_tables=8)
    for file in Path(reader.current().marts["revenue_by_shop"].path.removeprefix("file://")).glob("*.parquet"):
        file.unlink()
    found = Figures(lake, reader).of("overview", reader.current())
    assert (found["orders"]["why"], found["decisions"]["why"]) == ("unreadable", "")

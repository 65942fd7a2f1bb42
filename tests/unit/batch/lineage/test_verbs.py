"""The verbs: what they print, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from batch.lineage import app as wired
from caudal.cli.main import app
from caudal.errors import UsageError
from caudal.lake import LocalLake
from tests.support import lineage_lake


@pytest.fixture(autouse=True)
def _one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of these settings is the one that all tests share: making it takes seconds."""
    monkeypatch.setattr(wired, "graph", lambda settings: lineage_lake.graph())


def said(*words: str) -> dict[str, Any]:
    """The verb's JSON."""
    done = CliRunner().invoke(app, [*words, "-o", "json"], catch_exceptions=False)
    assert done.exit_code == 0
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    return answer


def test_export_writes_what_ran_and_leaves_the_lake_alone(tmp_path: Path) -> None:
    """Each event is one line of the file, of any time asked for; nothing in the lake changes."""
    lake = LocalLake(str(tmp_path / "lake"))
    lineage_lake.cycle(lake, "20260921T120000000-live")
    lineage_lake.commit(lake, "commerce.order", 1, read=1, applied=1)
    before = sorted(path for path in tmp_path.rglob("*") if "_lineage" in path.parts)
    file = tmp_path / "events.jsonl"
    answer = said("lineage", "export", "--since", "2020-01-01", "--out", str(file), "--data", str(tmp_path))
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert answer["events"] == len(events) == 4
    assert answer["jobs"] == {"cycle.live": 2, "streaming.commerce.order": 2}
    assert before == sorted(path for path in tmp_path.rglob("*") if "_lineage" in path.parts) == []
    nothing = said("lineage", "export", "--since", "PT1S", "--out", str(file), "--data", str(tmp_path))
    assert nothing["events"] == 0
    assert said("lineage", "status", "--data", str(tmp_path))["written"] == 0


def test_show_names_what_lies_above_and_below(tmp_path: Path) -> None:
    """A table by its neighbours, a column by its columns, down to where they are stored."""
    table = said("lineage", "show", "gold.revenue_hourly", "--data", str(tmp_path))
    assert "topic.commerce.order" in table["above"]
    assert table["below"] == ["gold.dim_shops"]
    column = said("lineage", "show", "gold.revenue_hourly.items", "--data", str(tmp_path))
    assert column["above"] == ["intermediate.int_orders.items_count"]
    assert column["stored"] == ["silver.commerce_order.items_count"]


@pytest.mark.parametrize(
    ("name", "near"), [("gold.fct_order", "gold.fct_orders"), ("gold.fct_orders.totl", "total"), ("zzz", "gold.")]
)
def test_a_name_that_is_wrong_gets_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    """Nobody has to guess twice."""
    with pytest.raises(UsageError) as refused:
        said("lineage", "show", name, "--data", str(tmp_path))
    assert near in refused.value.fix


def test_a_version_is_no_time_to_export_from(tmp_path: Path) -> None:
    """Exports go by time; a number is refused."""
    with pytest.raises(UsageError, match="neither a time nor a duration"):
        said("lineage", "export", "--since", "12", "--data", str(tmp_path))


def test_the_catalogue_is_built_where_it_is_asked_for(tmp_path: Path) -> None:
    """Without a lake there is a catalogue all the same: of what will be."""
    answer = said("catalogue", "build", "--out", str(tmp_path / "out"), "--data", str(tmp_path))
    assert answer["tables"]["gold"] > 30
    assert len(list((tmp_path / "out").glob("*.html"))) == answer["pages"]
    assert (tmp_path / "out" / "catalogue.json").is_file()

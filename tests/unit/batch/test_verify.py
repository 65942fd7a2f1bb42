"""`verify` accepts gold that went through the gate, and names every way around it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from batch import record
from batch.publish import publish, write_group
from batch.record import Built, Record
from batch.verify import checks
from caudal.clock import FixedClock
from caudal.errors import CaudalError
from caudal.lake import Lake
from caudal.settings import Settings
from quality import results
from quality.results import Result
from schemas import manifest

CLOCK = FixedClock(1_772_323_200_000)
MART = "fct_orders"


class Published:
    """A lake with one published mart."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        self.lake = Lake.open(self.settings)
        self.cycle = self.build("c1")
        publish(self.lake, CLOCK, self.cycle)

    @property
    def path(self) -> str:
        return self.lake.table("gold", MART)

    def write(self) -> Built:
        """One more commit of the mart."""
        write_deltalake(self.path, pa.table({"n": [1]}), mode="append")
        table = DeltaTable(self.path)
        return Built(table.version(), str(table.metadata().id), 1)

    def build(self, cycle: str, *, ok: bool = True) -> Record:
        """A cycle up to its gate."""
        built = self.write()
        kept = Record(cycle, "live", "passed" if ok else "failed", 0, silver_versions={"a": 1}, tables={MART: built})
        results.save(self.lake, cycle, "live", 0, [Result(MART, "gold", "ROWS", ok, "critical", 1, 0)])
        return record.save(self.lake, kept)

    def serve(self, **changes: object) -> None:
        """Point the manifest's table somewhere else, past every check."""
        current = manifest.load_current(self.lake)
        assert current is not None
        group = current.groups["live"]
        tables = {MART: replace(group.tables[MART], **changes)}  # type: ignore[arg-type]
        manifest.publish(self.lake, "live", replace(group, tables=tables))

    def findings(self) -> tuple[str, ...]:
        [check] = checks(self.settings)
        assert check.ok == (not check.findings)
        return check.findings


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


def test_nothing_published_is_no_break(tmp_path: Path) -> None:
    """An empty lake has nothing to answer for, and says that nothing was examined."""
    [check] = checks(Settings(data_dir=tmp_path))
    assert (check.ok, check.examined) == (True, 0)


def test_gated_gold_is_proved(published: Published) -> None:
    """One table, one gate, one proof."""
    [check] = checks(published.settings)
    assert (check.invariant, check.ok, check.examined) == (3, True, 1)


def test_later_commits_do_not_matter(published: Published) -> None:
    """What a running cycle writes is not served, so it may stand there untested."""
    published.write()
    assert published.findings() == ()


def _ungated(published: Published) -> None:
    published.serve(version=published.write().version)


def _other_table(published: Published) -> None:
    published.serve(table_id="another")


def _no_version(published: Published) -> None:
    published.serve(version=99)


def _no_record(published: Published) -> None:
    (Path(published.lake.uri) / record.FOLDER / "c1.json").unlink()


def _no_results(published: Published) -> None:
    (Path(published.lake.uri) / results.FOLDER / "c1.json").unlink()


def _failed(published: Published) -> None:
    failed = published.build("c2", ok=False)
    write_group(published.lake, failed, 0)


def _edited(published: Published) -> None:
    current = Path(published.lake.uri) / manifest.CURRENT
    current.write_text(current.read_text(encoding="utf-8").replace('"version": 0', '"version": 1'), encoding="utf-8")


def _gone(published: Published) -> None:
    shutil.rmtree(published.path)


def _pretended_restore(published: Published) -> None:
    built = published.write()
    false = Record("r1", "live", "restored", 0, silver_versions={"a": 1}, tables={MART: built})
    record.keep(published.lake, replace(false, restored_from={MART: 0}, inherits="c1"))
    write_group(published.lake, replace(false, cycle="r1"), 0)


@pytest.mark.parametrize(
    "tamper",
    [_ungated, _other_table, _no_version, _no_record, _no_results, _failed, _edited, _gone, _pretended_restore],
)
def test_every_way_around_the_gate_is_found(published: Published, tamper: Callable[[Published], None]) -> None:
    """Serving anything that no passed gate covers breaks the invariant."""
    tamper(published)
    assert published.findings()


def test_a_real_restore_is_proved_by_the_gate_of_its_content(published: Published) -> None:
    """RESTORE is a commit of its own: the proof follows it back to the gated version."""
    published.write()
    table = DeltaTable(published.path)
    table.restore(0)
    built = Built(table.version(), str(table.metadata().id), 1)
    restored = Record("r1", "live", "restored", 0, silver_versions={"a": 1}, tables={MART: built})
    restored = replace(restored, restored_from={MART: 0}, inherits="c1")
    record.keep(published.lake, restored)
    write_group(published.lake, restored, 0)
    assert published.findings() == ()


def test_publish_refuses_what_was_not_gated(published: Published) -> None:
    """A failed gate, or a table that moved on since the gate, cannot be published."""
    with pytest.raises(CaudalError, match="CDL-NOT-GATED"):
        publish(published.lake, CLOCK, published.build("c2", ok=False))
    passed = published.build("c3")
    published.write()
    with pytest.raises(CaudalError, match="CDL-NOT-GATED"):
        publish(published.lake, CLOCK, passed)
    assert published.findings() == ()


def test_publishing_twice_changes_nothing_that_readers_see(published: Published) -> None:
    """A publish that died after the manifest may simply run again."""
    before = manifest.load_current(published.lake)
    publish(published.lake, CLOCK, published.cycle)
    after = manifest.load_current(published.lake)
    assert before is not None
    assert after is not None
    assert before.groups == after.groups

"""Readers see one manifest: whole, by group, in order."""

from pathlib import Path

import pytest

from caudal.lake import LocalLake
from schemas import manifest
from schemas.manifest import Group, TableVersion


class Recorded(LocalLake):
    """A lake that remembers the order of its writes, and can die before one of them."""

    def __init__(self, uri: str, dies_at: str | None = None) -> None:
        super().__init__(uri)
        self.writes: list[str] = []
        self._dies_at = dies_at

    def write_atomic(self, name: str, data: bytes) -> None:
        if name == self._dies_at:
            raise KeyboardInterrupt
        super().write_atomic(name, data)
        self.writes.append(name)


def entry(cycle: str, version: int) -> Group:
    tables = {f"fct_{cycle[0]}": TableVersion(f"gold/fct_{cycle[0]}", "id", version, 10 * version)}
    return Group(cycle, 1_700_000_000_000 + version, {"commerce_order": version}, tables)


def test_nothing_is_published_at_first(tmp_path: Path) -> None:
    """Before the first publication there is no manifest, and no error."""
    assert manifest.load_current(LocalLake(str(tmp_path))) is None


def test_the_numbered_file_is_written_before_the_current_one(tmp_path: Path) -> None:
    """A reader of current.json can always find the numbered manifest it is a copy of."""
    lake = Recorded(str(tmp_path))
    manifest.publish(lake, "live", entry("l1", 1))
    manifest.publish(lake, "full", entry("f1", 1))
    assert lake.writes == [
        "_manifest/0000000001.json", "_manifest/current.json", "_manifest/0000000002.json", "_manifest/current.json",
    ]  # fmt: skip
    assert manifest.load(lake, 2) == manifest.load_current(lake)
    assert manifest.load(lake, 9) is None


def test_a_group_replaces_only_itself(tmp_path: Path) -> None:
    """Publishing one group keeps the other's entry; what is read is what was written."""
    lake = LocalLake(str(tmp_path))
    manifest.publish(lake, "live", entry("l1", 1))
    manifest.publish(lake, "full", entry("f1", 5))
    manifest.publish(lake, "live", entry("l2", 2))
    current = manifest.load_current(lake)
    assert current is not None
    assert (current.number, dict(current.groups)) == (3, {"live": entry("l2", 2), "full": entry("f1", 5)})
    assert {mart: version.version for mart, version in current.tables.items()} == {"fct_l": 2, "fct_f": 5}
    assert current.table("fct_f") == TableVersion("gold/fct_f", "id", 5, 50)
    assert current.table("nothing") is None


def test_killed_between_the_two_writes(tmp_path: Path) -> None:
    """A publication that died halfway is invisible, and the next one takes its number."""
    manifest.publish(LocalLake(str(tmp_path)), "live", entry("l1", 1))
    dying = Recorded(str(tmp_path), dies_at="_manifest/current.json")
    with pytest.raises(KeyboardInterrupt):
        manifest.publish(dying, "live", entry("l2", 2))
    seen = manifest.load_current(dying)
    assert seen is not None
    assert seen.groups["live"].cycle == "l1"
    assert manifest.publish(LocalLake(str(tmp_path)), "live", entry("l3", 3)).number == 2

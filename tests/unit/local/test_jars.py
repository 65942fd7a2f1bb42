"""Sets of Java archives: what is complete, what is wrong, what pyspark already brings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from caudal.local import jars
from caudal.local.errors import JarsError
from caudal.local.ivy import module_text


def a_set(folder: Path, name: str, **archives: bytes) -> Path:
    """A finished set with these archives."""
    target = folder / name
    target.mkdir(parents=True)
    lines = []
    for archive, data in archives.items():
        (target / f"{archive}.jar").write_bytes(data)
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {len(data)}  {archive}.jar")
    (target / jars.FINISHED).write_text("\n".join(lines) + "\n")
    return target


def test_an_unfinished_set_says_how_to_get_it(tmp_path: Path) -> None:
    """Archives without the marker, which is written last, do not count."""
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "half.jar").write_bytes(b"x")
    assert jars.check(tmp_path, "kafka") == ["not resolved"]
    with pytest.raises(JarsError) as error:
        jars.jars_of(tmp_path, "kafka")
    assert "caudal.local.jars" in error.value.fix


def test_a_complete_set_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every set complete nothing is started, so a second set-up touches no network and needs no Java."""
    for name in jars.DEFAULT_SETS:
        a_set(tmp_path, name, a=b"1")

    def never() -> str:
        raise AssertionError("looked for Java")

    monkeypatch.setattr(jars, "_java", never)
    said: list[str] = []
    jars.resolve(folder=tmp_path, say=said.append)
    assert said == []


def test_a_changed_archive_is_found(tmp_path: Path) -> None:
    """A missing or shortened archive shows at once, changed bytes of the same length in the deep check."""
    target = a_set(tmp_path, "kafka", a=b"11", b=b"22", c=b"33")
    (target / "a.jar").unlink()
    (target / "b.jar").write_bytes(b"2")
    (target / "c.jar").write_bytes(b"34")
    assert jars.check(tmp_path, "kafka") == ["a.jar is missing", "b.jar has another size"]
    assert jars.check(tmp_path, "kafka", deep=True)[2:] == ["c.jar has another checksum"]


def test_archives_that_are_not_the_locked_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes, a missing archive or one too many stop the set-up."""
    lock = tmp_path / "jars.lock"
    lock.write_text(f"kafka  {hashlib.sha256(b'good').hexdigest()}  4  a.jar\n")
    monkeypatch.setattr(jars, "LOCKED", lock)
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"good")
    jars._compare("kafka", [jar])
    jar.write_bytes(b"evil")
    with pytest.raises(JarsError, match=r"a\.jar"):
        jars._compare("kafka", [jar])
    with pytest.raises(JarsError):
        jars._compare("kafka", [])


def test_the_lock_covers_every_set() -> None:
    """Each set has locked archives, and Spark's and S3's repeat none that pyspark carries."""
    locked = jars._locked()
    assert sorted(jars.SETS) == sorted(locked)
    beside = [name.rsplit("-", 1)[0] for name in (*locked["spark"], *locked["s3"])]
    assert not {"scala-library", "hadoop-client-api", "hadoop-client-runtime", "slf4j-api"} & set(beside)


def test_what_pyspark_brings_is_left_out() -> None:
    """The module text excludes pyspark's archives for Spark's sets, and nothing for the broker's."""
    assert 'exclude module="hadoop-client-api"' in module_text(jars.SETS["spark"])
    assert "exclude" not in module_text(jars.SETS["kafka"])
    assert 'exclude module="bundle"' in module_text(jars.SETS["s3"])

"""Resolves the Java archives once, with the Ivy that pyspark carries; later starts touch no network.

Each set lands in its own folder below the jars folder, next to ``SHA256SUMS``, which is written last: a set
without it is unfinished and the next run goes on from what Ivy has already fetched.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from caudal.errors import CaudalError
from caudal.local.errors import JarsError
from caudal.local.ivy import Coordinate, JarSet, fetch

FINISHED = "SHA256SUMS"
LOCKED = Path(__file__).with_name("jars.lock")
# hadoop-aws asks for the whole AWS SDK as one archive of 600 MB; it calls only these modules of it.
_AWS = "software.amazon.awssdk"
_AWS_VERSION = "2.29.52"

SETS: dict[str, JarSet] = {
    "kafka": JarSet(
        "kafka",
        (
            Coordinate("org.apache.kafka", "kafka_2.13", "4.3.1"),
            # Kafka's own module list leaves the logger's binding out; without it the broker says nothing at all.
            Coordinate("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
        ),
    ),
    "spark": JarSet(
        "spark",
        (
            Coordinate("io.delta", "delta-spark_4.1_2.13", "4.3.1"),
            Coordinate("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.1.1"),
            Coordinate("org.apache.spark", "spark-avro_2.13", "4.1.1"),
        ),
        beside_spark=True,
    ),
    "s3": JarSet(
        "s3",
        (
            Coordinate("org.apache.hadoop", "hadoop-aws", "3.4.2"),
            Coordinate(_AWS, "s3", _AWS_VERSION),
            Coordinate(_AWS, "s3-transfer-manager", _AWS_VERSION),
            Coordinate(_AWS, "sts", _AWS_VERSION),
            Coordinate(_AWS, "kms", _AWS_VERSION),
            Coordinate(_AWS, "apache-client", _AWS_VERSION),
            Coordinate(_AWS, "netty-nio-client", _AWS_VERSION),
        ),
        beside_spark=True,
        without=("bundle",),
    ),
}
DEFAULT_SETS = ("kafka", "spark")


def default_dir() -> Path:
    """The folder that belongs to this Python environment, so that a fresh clone with the same one finds it."""
    return Path(sys.prefix) / "share" / "caudal" / "jars"


def jars_of(folder: Path, name: str) -> list[Path]:
    """The archives of a finished set, sorted.

    Raises:
        JarsError: the set was never resolved, or not to its end.
    """
    target = (folder / name).resolve()
    if not (target / FINISHED).is_file():
        raise JarsError(
            what=f"the Java archives of the set '{name}' are not there",
            where=str(target),
            why="the set-up has not run to its end",
            fix=f"run `python -m caudal.local.jars --with {name}`",
        )
    return sorted(target.glob("*.jar"))


def check(folder: Path, name: str, *, deep: bool = False) -> list[str]:
    """What is wrong with a set: missing archives, other sizes, and with `deep` other checksums."""
    target = folder / name
    if not (target / FINISHED).is_file():
        return ["not resolved"]
    wrong = []
    for digest, size, jar in _sums(target / FINISHED):
        path = target / jar
        if not path.is_file():
            wrong.append(f"{jar} is missing")
        elif path.stat().st_size != size:
            wrong.append(f"{jar} has another size")
        elif deep and _digest(path) != digest:
            wrong.append(f"{jar} has another checksum")
    return wrong


def resolve(
    names: Sequence[str] = DEFAULT_SETS,
    folder: Path | None = None,
    *,
    java: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Bring the named sets into `folder`. Returns at once for those already complete.

    Raises:
        JarsError: no Java, no network, or an archive whose checksum is not the locked one.
    """
    folder = folder or default_dir()
    if not any(check(folder, name) for name in names):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, say):
        missing = [name for name in names if check(folder, name)]
        running: list[subprocess.Popen[str]] = []
        failures: list[JarsError] = []

        def work(name: str) -> None:
            try:
                _resolve_one(SETS[name], folder, java or _java(), say, running)
            except JarsError as error:
                failures.append(error)

        # Ivy reads one module after the other and waits for the network most of the time: sets go side by side.
        threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in missing]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            for process in running:
                process.terminate()
            raise
        if failures:
            raise failures[0]


def _resolve_one(
    wanted: JarSet, folder: Path, java: str, say: Callable[[str], None], running: list[subprocess.Popen[str]]
) -> None:
    part, cache = folder / f".{wanted.name}.part", folder / f".{wanted.name}.cache"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    cache.mkdir(exist_ok=True)
    began = time.monotonic()
    expected = {jar: size for jar, (_, size) in _locked().get(wanted.name, {}).items()}
    fetch(wanted, part, cache, java, expected, say, running)
    jars = sorted(part.glob("*.jar"))
    _compare(wanted.name, jars)
    lines = [f"{_digest(jar)}  {jar.stat().st_size}  {jar.name}" for jar in jars]
    (part / FINISHED).write_text("\n".join(lines) + "\n", encoding="utf-8")
    target = folder / wanted.name
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    shutil.rmtree(cache, ignore_errors=True)
    total = sum(jar.stat().st_size for jar in target.glob("*.jar")) / 1e6
    say(f"jars: {wanted.name} complete, {len(jars)} archives, {total:.1f} MB in {time.monotonic() - began:.0f} s")


def _compare(name: str, jars: Sequence[Path]) -> None:
    """Refuse archives other than the locked ones; a set that has no lock yet passes."""
    expected = _locked().get(name)
    if not expected:
        return
    found = {jar.name: _digest(jar) for jar in jars}
    wanted = {jar: digest for jar, (digest, _) in expected.items()}
    wrong = sorted(jar for jar in found.keys() | wanted.keys() if found.get(jar) != wanted.get(jar))
    if wrong:
        raise JarsError(
            what=f"archives of the set '{name}' are not the locked ones: {', '.join(wrong[:5])}",
            where=str(LOCKED),
            why="the mirror serves other bytes, or a version was changed without renewing the lock",
            fix="after a wanted change of version run `python -m caudal.local.jars --lock`",
        )


def write_lock(folder: Path) -> None:
    """Write `jars.lock` from the complete sets in `folder`: lines of set, sha256, bytes, archive."""
    lines = []
    for name in sorted(SETS):
        if (folder / name / FINISHED).is_file():
            lines += [f"{name}  {digest}  {size}  {jar}" for digest, size, jar in _sums(folder / name / FINISHED)]
    LOCKED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _locked() -> dict[str, dict[str, tuple[str, int]]]:
    """The locked archives: set, then archive name to (sha256, bytes)."""
    locked: dict[str, dict[str, tuple[str, int]]] = {}
    if LOCKED.is_file():
        for line in LOCKED.read_text(encoding="utf-8").splitlines():
            name, digest, size, jar = line.split()
            locked.setdefault(name, {})[jar] = (digest, int(size))
    return locked


def _sums(path: Path) -> Iterator[tuple[str, int, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, size, jar = line.split()
        yield digest, int(size), jar


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _java() -> str:
    from caudal.local.java import find

    return str(find().executable)


@contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One resolver per folder at a time; a second one waits and then finds the work done."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("jars: another set-up is at work in the same folder, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m caudal.local.jars [--with s3] [--dir FOLDER] [--lock]`."""
    parser = argparse.ArgumentParser(prog="python -m caudal.local.jars", description=__doc__)
    parser.add_argument("--with", dest="more", action="append", default=[], choices=sorted(SETS), help="a further set")
    parser.add_argument("--dir", type=Path, default=None, help="the folder of the sets")
    parser.add_argument("--lock", action="store_true", help="renew jars.lock from what is resolved now")
    options = parser.parse_args(arguments)
    folder: Path = options.dir or _configured()
    if options.lock:
        LOCKED.unlink(missing_ok=True)
    try:
        resolve(list(dict.fromkeys([*DEFAULT_SETS, *options.more])), folder, say=lambda line: print(line, flush=True))
    except CaudalError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("jars: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    if options.lock:
        write_lock(folder)
    return 0


def _configured() -> Path:
    from caudal.settings import load

    return Path(load().spark.jars_dir or default_dir())


if __name__ == "__main__":
    sys.exit(main())

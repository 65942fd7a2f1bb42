"""Runs the Ivy that pyspark carries: it knows the public repository by itself and needs no Maven."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from caudal.local.errors import JarsError

_VERSION = re.compile(r"-\d[\w.+-]*$")
# One report in five seconds is what a person reads in a log; a terminal gets the same lines.
_REPORT_S = 5.0


@dataclass(frozen=True)
class Coordinate:
    """One module of a Maven repository, with what it needs."""

    group: str
    name: str
    version: str


@dataclass(frozen=True)
class JarSet:
    """What one process needs on its class path; `beside_spark` leaves out what pyspark already brings."""

    name: str
    roots: tuple[Coordinate, ...]
    beside_spark: bool = False
    without: tuple[str, ...] = ()


def fetch(
    wanted: JarSet,
    folder: Path,
    cache: Path,
    java: str,
    expected: Mapping[str, int],
    say: Callable[[str], None],
    running: list[subprocess.Popen[str]],
) -> None:
    """Bring the archives of a set into `folder`, by way of `cache`, which an interrupted run leaves for the next one.

    `expected`: archive names to bytes, as far as known, so that progress has an end. `running` gets the process, so
    that the caller can end it.

    Raises:
        JarsError: a module cannot be found or fetched.
    """
    module = folder / "ivy.xml"
    module.write_text(module_text(wanted), encoding="utf-8")
    command = [java, "-Xmx192m", "-cp", str(_ivy_jar()), "org.apache.ivy.Main", "-ivy", str(module)]
    command += ["-cache", str(cache), "-retrieve", f"{folder}/[artifact]-[revision].[ext]", "-types", "jar", "bundle"]
    total = f"{len(expected)} archives, {sum(expected.values()) / 1e6:.1f} MB" if expected else "not known yet"
    say(f"jars: {wanted.name}: resolving ({total})")
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    running.append(process)
    assert process.stdout is not None
    said, modules = time.monotonic(), 0
    tail: list[str] = []
    for line in process.stdout:
        tail = [*tail[-40:], line.strip()]
        modules += line.strip().startswith("found ")
        if time.monotonic() - said > _REPORT_S:
            said = time.monotonic()
            here = [jar.stat().st_size for jar in cache.rglob("*.jar")]
            progress = f"{len(here)} archives, {sum(here) / 1e6:.1f} MB" if here else f"{modules} modules found"
            say(f"jars: {wanted.name}: {progress} (of {total})")
    if process.wait() != 0:
        problems = [line for line in tail if "UNRESOLVED" in line or "ERROR" in line or "exception" in line.lower()]
        raise JarsError(
            what=f"the Java archives of the set '{wanted.name}' could not be fetched",
            where=str(cache),
            why="; ".join(problems[:3]) or "\n".join(tail[-5:]),
            fix="check the network and run the set-up again: it goes on where it stopped",
        )
    module.unlink()


def module_text(wanted: JarSet) -> str:
    """The module text for Ivy: our roots, and every archive that pyspark carries as an exclusion."""
    leave_out = set(wanted.without)
    if wanted.beside_spark:
        leave_out |= {_artifact(jar) for jar in (_pyspark() / "jars").glob("*.jar")}
    leave_out -= {root.name for root in wanted.roots}
    roots = "".join(
        f"<dependency org={quoteattr(r.group)} name={quoteattr(r.name)} rev={quoteattr(r.version)} conf='*->default'/>"
        for r in wanted.roots
    )
    excludes = "".join(f"<exclude module={quoteattr(name)}/>" for name in sorted(leave_out))
    return (
        "<ivy-module version='2.0'>"
        f"<info organisation='caudal' module={quoteattr(wanted.name)}/>"
        f"<dependencies>{roots}{excludes}</dependencies></ivy-module>"
    )


def _artifact(jar: Path) -> str:
    return _VERSION.sub("", jar.stem)


def _pyspark() -> Path:
    """pyspark's folder, found without importing it."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise JarsError(
            what="pyspark is not installed, and its Ivy is what fetches the Java archives",
            where=sys.prefix,
            why="the environment was made without the extra 'streaming'",
            fix="install caudal[local]",
        )
    return Path(spec.origin).parent


def _ivy_jar() -> Path:
    return next(iter((_pyspark() / "jars").glob("ivy-*.jar")))

"""Looks at this machine before or after a start: each check says what it found and, when it fails, the one fix."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from caudal.lease import holder
from caudal.local import jars, record
from caudal.local.errors import JavaError
from caudal.local.java import VECTOR, WANTED, find
from caudal.local.plan import PORTS
from caudal.local.ports import is_free
from caudal.settings import Settings

# The triple that works together: Delta breaks on later Sparks.
TRIPLE = {"pyspark": "4.1.1", "delta-spark": "4.3.1"}
SETTLED = {"dbt-core": "1.11.", "deltalake": "1.6."}
MEMORY_GIB = 6.0
DISK_GIB = 5.0


@dataclass(frozen=True)
class Finding:
    """One check. `level`: ok, warning (works, but) or failed (will not work)."""

    check: str
    level: str
    found: str
    fix: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> list[Finding]:
    """All checks, in the order in which a start would meet them."""
    checks: Sequence[Callable[[Settings], Iterator[Finding]]] = (
        _python,
        _java,
        _jars,
        _versions,
        _ports,
        _memory,
        _disk,
    )
    return [finding for check in checks for finding in check(settings)]


def _python(_: Settings) -> Iterator[Finding]:
    found = platform.python_version()
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield _verdict("Python 3.11 to 3.13", ok, found, "make the environment again with `make setup` and such a Python")


def _java(_: Settings) -> Iterator[Finding]:
    wanted = " or ".join(str(major) for major in WANTED)
    try:
        java = find()
    except JavaError as error:
        yield Finding(f"Java {wanted} with {VECTOR}", "failed", error.where, f"install it: {error.fix}")
        return
    yield Finding(f"Java {wanted} with {VECTOR}", "ok", f"{java.version} at {java.executable}")


def _jars(settings: Settings) -> Iterator[Finding]:
    for name in jars.SETS:
        wrong = jars.check(settings.spark.jars_dir, name, deep=True)
        optional = name == "s3" and wrong == ["not resolved"]
        level = "ok" if not wrong else "warning" if optional else "failed"
        found = "complete, checksums fit" if not wrong else "; ".join(wrong[:3])
        yield Finding(f"jars of {name}", level, found, "" if not wrong else _refetch(settings, name, wrong))


def _refetch(settings: Settings, name: str, wrong: Sequence[str]) -> str:
    fetch = f"python -m caudal.local.jars --with {name}"
    broken = wrong != ["not resolved"]
    return f"rm -r {settings.spark.jars_dir / name} && {fetch}" if broken else f"run `{fetch}`"


def _versions(_: Settings) -> Iterator[Finding]:
    for name, wanted in {**TRIPLE, **SETTLED}.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(f"{name} {wanted}", "failed", "not installed", "run `make setup`")
            continue
        yield _verdict(
            f"{name} {wanted}", found.startswith(wanted), found, "run `make setup`: it installs the locked versions"
        )


def _ports(settings: Settings) -> Iterator[Finding]:
    if holder(settings.run_dir / record.LEASE) is not None:
        yield Finding("ports", "ok", "this install runs and has its ports")
        return
    for name, port in {**PORTS, "web": settings.web.port}.items():
        free = is_free(port)
        fix = "" if free else "none needed: the start takes the next free port and prints it"
        yield Finding(f"port {port} for {name}", "ok" if free else "warning", "free" if free else "busy", fix)


def _memory(_: Settings) -> Iterator[Finding]:
    import psutil

    gib = psutil.virtual_memory().available / 2**30
    fix = f"close other programs: the whole stack takes up to {MEMORY_GIB:.0f} GiB"
    yield _verdict(f"{MEMORY_GIB:.0f} GiB of memory available", gib >= MEMORY_GIB, f"{gib:.1f} GiB", fix, "warning")


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.resolve()
    while not folder.exists():
        folder = folder.parent
    gib = shutil.disk_usage(folder).free / 2**30
    fix = f"free some space at {folder}, or name another folder with --data"
    yield _verdict(f"{DISK_GIB:.0f} GiB of disk free", gib >= DISK_GIB, f"{gib:.1f} GiB", fix)


def _verdict(check: str, ok: bool, found: str, fix: str, level: str = "failed") -> Finding:
    return Finding(check, "ok" if ok else level, found, "" if ok else fix)

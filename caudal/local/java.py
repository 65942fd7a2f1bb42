"""Finds a Java that Kafka and Spark can run on: 17 or 21, with the module that Spark's vector code needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from caudal.local.errors import JavaError

WANTED = (17, 21)
VECTOR = "jdk.incubator.vector"
INSTALL = "apt-get install openjdk-17-jre-headless (Debian, Ubuntu) or brew install openjdk@17 (macOS)"


@dataclass(frozen=True)
class Java:
    """One Java found on this machine."""

    executable: Path
    major: int
    version: str
    vector: bool

    @property
    def usable(self) -> bool:
        return self.major in WANTED and self.vector

    @property
    def home(self) -> Path:
        """What JAVA_HOME must be for pyspark to start this one."""
        return self.executable.resolve().parent.parent


@cache
def find() -> Java:
    """The first usable Java: JAVA_HOME, then the path, then the usual folders.

    Raises:
        JavaError: none found, or none that is 17 or 21 with the vector module.
    """
    seen = []
    for executable in _candidates():
        java = examine(executable)
        if java is not None and java.usable:
            return java
        if java is not None:
            seen.append(f"{java.executable} is {java.version}{'' if java.vector else ' without ' + VECTOR}")
    raise JavaError(
        what="no Java 17 or 21 that Spark can run on",
        where=", ".join(seen) or "PATH and JAVA_HOME",
        why=f"Spark 4.1 needs Java 17 or 21 with the module {VECTOR}",
        fix=INSTALL,
    )


def examine(executable: Path) -> Java | None:
    """What this executable is; None when it does not answer as a Java does."""
    version = _ask(executable, "-version")
    match = re.search(r'version "((\d+)[^"]*)"', version)
    if match is None:
        return None
    return Java(executable, int(match[2]), match[1], f"{VECTOR}@" in _ask(executable, "--list-modules"))


def _candidates() -> Iterator[Path]:
    # JAVA_HOME is Java's own convention, which pyspark follows too: it is no setting of ours.
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    found = shutil.which("java")
    if found:
        yield Path(found)
    patterns = {"linux": ("/usr/lib/jvm", "*/bin/java"), "darwin": ("/opt/homebrew/opt", "openjdk*/bin/java")}
    if sys.platform in patterns:
        root, pattern = patterns[sys.platform]
        yield from sorted(Path(root).glob(pattern))


def _ask(executable: Path, option: str) -> str:
    try:
        answer = subprocess.run(
            [str(executable), option], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout + answer.stderr

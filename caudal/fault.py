"""Named points at which a process can be made to die, so that recovery is tested where it matters.

`CAUDAL_CRASHPOINT=name:nth` kills the whole process group (the JVM too) with SIGKILL when the point is passed for
the nth time; `CAUDAL_CRASHPOINT=@file` takes `name:nth` from a file, so that a process at work can be armed. A marker
file under `CAUDAL_CRASH_DIR` says that it really died there. Without the variable the call costs one dictionary
look-up.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

_passed: Counter[str] = Counter()
_counting = threading.Lock()


def crashpoint(name: str) -> None:
    """Die here if this point is the armed one and its turn has come."""
    told = os.environ.get("CAUDAL_CRASHPOINT")
    if not told:
        return
    armed = _read(Path(told[1:])) if told.startswith("@") else told
    wanted, _, nth = armed.partition(":")
    if wanted != name:
        return
    with _counting:
        _passed[armed] += 1
        if _passed[armed] != int(nth or 1):
            return
    folder = os.environ.get("CAUDAL_CRASH_DIR")
    if folder:
        marker = Path(folder) / name
        if marker.exists():
            return  # it died here before: a restarted process must be able to go on
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(str(os.getpid()), encoding="utf-8")
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _read(file: Path) -> str:
    """What stands in the file; nothing when there is none."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""

"""Small children for tests of the supervisor: real processes that start in milliseconds."""

from __future__ import annotations

import sys
from pathlib import Path

from caudal.local.child import Child

# Listens on a file: says ready by making it, ends in order on SIGTERM and says so.
_GOOD = """
import pathlib, signal, sys, time
here = pathlib.Path(sys.argv[1])
def end(*_):
    (here.with_suffix(".ended")).touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("hello from", here.stem, flush=True)
here.touch()
while True:
    time.sleep(0.05)
"""
# Hears no SIGTERM, and has a child of its own in another session, as Spark's Python workers have.
_STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
again = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
below = subprocess.Popen([sys.executable, "-c", again], start_new_session=True)
here = pathlib.Path(sys.argv[1])
here.write_text(str(below.pid))
time.sleep(600)
"""


def good(folder: Path, name: str, **more: object) -> Child:
    """Becomes ready, ends when asked."""
    return _child(folder, name, _GOOD, **more)


def stubborn(folder: Path, name: str, **more: object) -> Child:
    """Becomes ready, and must be killed."""
    return _child(folder, name, _STUBBORN, stop_s=0.5, **more)


def broken(folder: Path, name: str) -> Child:
    """Says why and ends with code 3 before it is ready."""
    return _child(folder, name, "import sys; print('no such thing as a free port'); sys.exit(3)")


def mute(folder: Path, name: str, ready_s: float) -> Child:
    """Runs and never becomes ready."""
    return _child(folder, name, "import time; time.sleep(600)", ready_s=ready_s)


def _child(folder: Path, name: str, program: str, **more: object) -> Child:
    mark = folder / f"{name}.ready"

    def ready() -> str | None:
        return None if mark.exists() else "its mark"

    fields: dict[str, object] = {"prepare": lambda: mark.unlink(missing_ok=True), "ready": ready, "stop_s": 5.0, **more}
    return Child(name=name, command=(sys.executable, "-c", program, str(mark)), **fields)  # type: ignore[arg-type]

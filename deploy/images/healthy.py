"""Container health of one Caudal process: its own snapshot says that it works, and the snapshot is young.

python healthy.py streaming
"""

from __future__ import annotations

import sys
import time

from caudal.metrics import read_all
from caudal.settings import load

# Snapshots come every second; a JVM in a long collection may hold one back for a few.
YOUNG_S = 30.0


def healthy(process: str) -> bool:
    """Whether the process reports and says ready."""
    found = read_all(load().run_dir / "metrics")
    return any(s.process == process and s.ready and time.time() - s.at < YOUNG_S for s in found)


if __name__ == "__main__":
    sys.exit(0 if healthy(sys.argv[1]) else 1)

"""`caudal bench warehouse` on a small lake: it measures what it says that it measures."""

from __future__ import annotations

import tempfile
from pathlib import Path

from caudal.cli.bench import warehouse
from caudal.settings import Settings


def test_it_publishes_both_ways_and_asks(postgres_admin: str) -> None:
    """One whole publish, one by changes of exactly the changed orders, and an answer to every question."""
    with tempfile.TemporaryDirectory(prefix="caudal-bench-") as folder:
        # as root the server runs as another user, who must be able to enter
        Path(folder).chmod(0o755)
        plan = warehouse.Plan(rows=6400, tenants=64, questions=128)
        found = warehouse.run(Settings(data_dir=Path(folder) / "data"), plan, lambda line: None)
    # 640 orders went in their old state and came in their new one
    assert (found["changed_by"], found["changed_rows"]) == ("changes", 1280)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["ok"] is (found["p99_ms"] <= found["promise_ms"])

"""A newcomer's first command, on an empty folder."""

import json
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Delivered

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.kafka, pytest.mark.timeout(1200)]

MARTS = {"fct_orders", "dim_customers", "fct_transactions", "fct_product_events_daily", "fct_fraud_decisions"}


def left_behind(data: Path) -> list[str]:
    """Names of processes that still carry this install's mark."""
    install = (data / "run" / "install_id").read_text(encoding="utf-8").strip()
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CAUDAL_INSTALL_ID") == install:
                found.append(process.name())
        except psutil.Error:
            continue
    return found


def test_one_command_delivers_every_stage_and_proves_it(delivered: Delivered) -> None:
    """`caudal demo --once` reaches published gold, decisions and a live release, verifies, and leaves nothing."""
    done = delivered.done
    said = f"{done.stdout[-3000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, said
    found = json.loads(done.stdout.strip().splitlines()[-1])

    assert found["ok"] is True
    assert set(found["seconds"]) == {"set_up", "first_raw", "first_silver", "first_gold", "first_decision", "total"}
    assert all(found["events"][contract] > 0 for contract in ("commerce.order", "payments.transaction"))
    assert all(found["events"][contract] > 0 for contract in ("product.event", "fraud.decision", "fraud.label"))
    assert found["duplicates"] > 0
    assert sum(found["dead_letters"].values()) > 0
    assert all(code.startswith("CDL-") for code in found["dead_letters"])
    assert found["schema_versions"]["commerce.order"] == [1, 2]
    assert {entry["table"] for entry in found["gold"] if entry["rows"] > 0} >= MARTS
    assert found["decisions"]["approve"] > 0
    assert found["memory_mib"]["peak_total"] > 0
    assert [check["invariant"] for check in found["verify"]["checks"]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(check["ok"] and check["examined"] > 0 for check in found["verify"]["checks"])
    assert left_behind(delivered.data) == []

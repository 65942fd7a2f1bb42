from __future__ import annotations

from caudal.settings import Settings
from serving.warehouse.verify import checks


def test_without_a_warehouse_there_is_nothing_to_prove(offline_settings: Settings) -> None:
    """It breaks no invariant, and counts as no examination of any."""
    assert [(one.invariant, one.ok, one.examined) for one in checks(offline_settings)] == [(3, True, 0), (6, True, 0)]

from __future__ import annotations

from serving.dashboard.road import POINTS, Road


def stage(rows: int | None) -> list[dict[str, object]]:
    return [{"stage": "raw", "rows": rows}]


def test_a_rate_is_over_a_window() -> None:
    """Rows per second are taken over the last moments, so that batches do not make them jump."""
    road = Road()
    rates = [road.step(stage(rows), float(at))[0]["rate"] for at, rows in enumerate((0, 0, 100, 100, 200))]
    assert rates == [None, 0.0, 50.0, 33.3, 50.0]


def test_a_restarted_process_counts_from_zero() -> None:
    """A counter that went back starts a new window instead of a negative rate."""
    road = Road()
    for at, rows in ((0.0, 1000), (2.0, 1200), (4.0, 10)):
        last = road.step(stage(rows), at)[0]
    assert last["rate"] is None
    assert road.step(stage(30), 6.0)[0]["rate"] == 10.0


def test_a_curve_has_an_end() -> None:
    """The curve keeps the last points only, and an unknown stage has none."""
    road = Road()
    for at in range(POINTS * 2):
        found = road.step(stage(at), float(at))[0]
    assert len(found["curve"]) == POINTS
    assert Road().step(stage(None), 0.0)[0] == {"stage": "raw", "rows": None, "rate": None, "curve": []}

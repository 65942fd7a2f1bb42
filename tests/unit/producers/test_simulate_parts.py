"""Small parts of the simulators: faults by file, simulated time, tenants in tiers, bindings that rotate."""

import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from producers.shopify.bindings import Binding, Bindings, write
from producers.shopify.errors import BindingError
from producers.simulate import faults
from producers.simulate.clock import Pace, SimulatedClock
from producers.simulate.product import LATE_MS, Usage, late, tenants


def binding(name: str, secret: str = "s") -> Binding:
    return Binding(
        path_secret=SecretStr(name * 16), shop_id=name, domain=f"{name}.example", secrets=(SecretStr(secret),)
    )


def test_faults_are_switched_by_a_file(tmp_path: Path) -> None:
    """Each fault is switched on and off by itself; without a file none is on."""
    assert not faults.Faults(tmp_path).on("late")
    faults.start(tmp_path, "late")
    faults.start(tmp_path, "dup")
    faults.stop(tmp_path, "dup")
    looked = faults.Faults(tmp_path)
    assert [fault for fault in faults.FAULTS if looked.on(fault)] == ["late"]
    (tmp_path / "faults.json").write_text("no json", encoding="utf-8")
    assert not faults.Faults(tmp_path).on("late")


def test_simulated_time_runs_faster() -> None:
    """An hour at factor 3600 lasts a second, and time never stands still."""
    clock = SimulatedClock(1_000, 3_600_000.0)
    first = clock.now_ms()
    assert first >= 1_000
    deadline = time.monotonic() + 5
    while clock.now_ms() - first < 3_600_000:
        assert time.monotonic() < deadline


def test_a_pace_is_even_and_does_not_rush() -> None:
    """Ten a second means a tenth of a second each; a pause is not made up for."""
    pace = Pace(10)
    waits = [pace.wait_s() for _ in range(30)]
    assert waits[0] == 0
    assert waits[-1] == pytest.approx(2.9, abs=0.1)


def test_tenants_come_in_tiers() -> None:
    """240 tenants: 24 enterprise, 72 pro, the others free; a request is one tenant's."""
    names = [tenant.tier.name for tenant in tenants(240)]
    assert (names.count("enterprise"), names.count("pro"), names.count("free")) == (24, 72, 144)
    usage = Usage(0, 240)
    tenant, events = usage.batch(7, 25, 1_767_225_600_000)
    assert usage.batch(7, 25, 1_767_225_600_000) == (tenant, events)
    assert {tenant.tier.name} == {event["tier"] for event in events}
    assert len({event["event_id"] for event in events}) == 25
    assert all("tenant_id" not in event for event in events)
    assert late(events[0])["occurred_at"] == events[0]["occurred_at"] - LATE_MS


def test_bindings_are_read_again_when_they_change(tmp_path: Path) -> None:
    """A new file counts at once, is readable by its owner only, and shows no secret when printed."""
    known = Bindings(tmp_path)
    assert known.find("a" * 16) is None
    write(tmp_path, [binding("a", "old")])
    found = known.find("a" * 16)
    assert found is not None
    assert "old" not in repr(found)
    assert (tmp_path / "shops.json").stat().st_mode & 0o077 == 0
    write(tmp_path, [binding("a", "renewed"), binding("b")])
    renewed = known.find("a" * 16)
    assert renewed is not None
    assert renewed.secrets[0].get_secret_value() == "renewed"
    assert [shop.shop_id for shop in known.all()] == ["a", "b"]


def test_bad_bindings_say_where(tmp_path: Path) -> None:
    """A file that does not fit is refused with its place and without its secrets."""
    (tmp_path / "shops.json").write_text(
        '{"shops": [{"path_secret": "short", "shop_id": "a", "domain": "d", "secrets": ["k"]}]}', encoding="utf-8"
    )
    with pytest.raises(BindingError) as caught:
        Bindings(tmp_path).all()
    assert "shops.0.path_secret" in caught.value.where
    assert "short" not in str(caught.value).replace("too_short", "")

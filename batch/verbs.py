"""What the command line asks of batch when no batch process runs: plan, build, publish, one run of the gate.

Each verb that changes gold takes the lease first, so none of them meets the loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from batch import app, pins, plan, record, staging
from batch.cycle import build as build_cycle
from batch.loop import Loop
from batch.publish import publish as publish_record
from batch.record import Record
from batch.settings import BatchSettings
from caudal.clock import SystemClock
from caudal.lake import Lake
from caudal.lease import Lease
from caudal.metrics import Metrics
from caudal.settings import Settings
from quality.marts import GROUPS
from quality.results import Result
from schemas.load import load_catalog
from schemas.manifest import load_current


def due(settings: Settings) -> tuple[plan.Due, ...]:
    """The groups whose gold is behind silver now. Reads the lake only; starts no JVM and takes no lease."""
    lake = Lake.open(settings)
    catalog = load_catalog(settings.contracts_dir)
    heads = pins.versions(pins.Heads(lake).look(catalog.values()))
    manifest = load_current(lake)
    states: dict[str, plan.State] = {}
    for group in GROUPS:
        entry = manifest.groups.get(group) if manifest else None
        earlier = record.load(lake, entry.cycle) if entry else None
        inputs = earlier.inputs if earlier else tuple(contract.table for contract in catalog.values())
        states[group] = plan.State(inputs, entry.silver_versions if entry else None)
    pace = settings.section("batch", BatchSettings)
    # A person asks what is behind, not what the loop would do this second.
    return plan.due(
        states,
        heads,
        live_since_full=pace.full_every,
        seconds_since_full=pace.full_after_s,
        full_every=pace.full_every,
        full_after_s=pace.full_after_s,
    )


def build(settings: Settings, groups: Collection[str], *, full_refresh: bool = False) -> tuple[Record, ...]:
    """Build and gate, without publishing. Raises GateFailed, BuildFailed, LeaseHeld."""
    with _loop(settings) as loop:
        return tuple(build_cycle(loop.tools, loop.work(group, rebuild=full_refresh))[0] for group in groups)


def publish(settings: Settings, groups: Collection[str]) -> tuple[Record, ...]:
    """Publish what `build` left open. Starts no JVM. Raises NotGated when the gate did not pass, LeaseHeld."""
    lake = Lake.open(settings)
    done: list[Record] = []
    with Lease(app.lease_path(settings)).acquire("batch publish"):
        for group in groups:
            left = record.load_open(lake, group)
            if left is not None:
                publish_record(lake, SystemClock(), left)
                done.append(record.close(left, "published"))
    return tuple(done)


def check(settings: Settings) -> tuple[Result, ...]:
    """Run the marts' suites on what is published now. Raises LeaseHeld."""
    with _loop(settings) as loop:
        return loop.check_published()


def write_staging(folder: Path, settings: Settings) -> tuple[str, ...]:
    """Write the generated models of the contracts into a dbt project; the names of files that changed."""
    changed: list[str] = []
    wanted = staging.files(load_catalog(settings.contracts_dir).values())
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    for path in sorted(folder.glob("*")):
        if path.name not in wanted:
            path.unlink()
            changed.append(path.name)
    return tuple(changed)


@contextmanager
def _loop(settings: Settings) -> Iterator[Loop]:
    with app.opened(settings, Metrics("batch-verb")) as loop:
        loop.learn(load_catalog(settings.contracts_dir).values())
        yield loop

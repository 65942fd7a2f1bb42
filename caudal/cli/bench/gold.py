"""`caudal bench gold`: how old an event is when a published gold mart shows it, and what a cycle spends on what.

The whole platform runs and simulated users act at a steady rate. Afterwards each published version is compared with the
one before: a row that is new in it is as old as the time from its publisher's clock to that publication.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch import record
from batch.plan import FULL, LIVE
from batch.record import Record
from caudal.cli.bench import measure
from caudal.cli.demo import facts
from caudal.lake import Lake
from caudal.local.supervisor import Supervisor
from caudal.query import Query
from schemas.manifest import Manifest, TableVersion, load, load_current

Say = Callable[[str], None]
# One row of it is one event, and no row leaves it.
MART = "fct_transactions"
_TICK_S = 2.0


@dataclass(frozen=True)
class Plan:
    """Events/s of all sources together, seconds of the load after the warm-up, seconds of the warm-up."""

    rate: float
    seconds: float
    warm_s: float


def run(supervisor: Supervisor, plan: Plan, say: Say) -> dict[str, Any] | None:
    """Watch a platform on which players act; None when it was told to end before its time."""
    lake = Lake.open(supervisor.settings)
    if not _until(supervisor, lambda: not facts.unpublished(lake), say):
        return None
    say(f"bench: both groups are published; warming up for {plan.warm_s:.0f} s")
    supervisor.wait(plan.warm_s)
    began_ms = int(time.time() * 1000)
    until = time.monotonic() + plan.seconds
    if not _until(supervisor, lambda: time.monotonic() >= until, say):
        return None
    return judged(lake, began_ms, plan)


def judged(lake: Lake, began_ms: int, plan: Plan) -> dict[str, Any]:
    """What was published since then: `event_to_gold_s`, `cycle_s` by group, `quality_share`, and how many of each."""
    manifests = list(_since(lake, began_ms))
    cycles = {g.cycle: name for m in manifests for name, g in m.groups.items() if g.published_at_ms >= began_ms}
    records = [found for cycle in cycles if (found := record.load(lake, cycle)) is not None]
    ages = event_ages(lake, manifests)
    return {
        "event_to_gold_s": measure.quantiles(ages) if len(ages) else {},
        "cycle_s": {name: _seconds(records, name) for name in (LIVE, FULL)},
        "step_s": {name: _steps(records, name) for name in (LIVE, FULL)},
        "quality_share": quality_share(records),
        "cycles": {name: sum(1 for one in records if one.group == name) for name in (LIVE, FULL)},
        "events": len(ages),
        "events_per_s": round(len(ages) / plan.seconds, 1),
        "ok": len(ages) > 0,
    }


def event_ages(lake: Lake, manifests: Iterable[Manifest]) -> pa.Array:
    """Seconds from `published_at` to the publication that first shows the row, of each row that a manifest adds."""
    shown = [(m.groups[LIVE].published_at_ms, table) for m in manifests if (table := m.table(MART)) is not None]
    found = [
        _ages(lake, before, after, at_ms)
        for (_, before), (at_ms, after) in pairwise(shown)
        if (before.table_id, before.version) != (after.table_id, after.version)
    ]
    return pa.concat_arrays(found) if found else pa.array([], pa.float64())


def _ages(lake: Lake, before: TableVersion, after: TableVersion, at_ms: int) -> pa.Array:
    query = Query(lake)
    for alias, table in (("a", before), ("b", after)):
        query.at(alias, lake.table("gold", table.path.rpartition("/")[2]), table.version)
    new = query.arrow(
        "SELECT b.published_at FROM b LEFT ANTI JOIN a ON a.tenant_id = b.tenant_id AND a.event_id = b.event_id"
    )
    published = new["published_at"].combine_chunks().cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    return pc.divide(pc.subtract(pa.scalar(at_ms), published).cast(pa.float64()), 1000.0)


def quality_share(records: Iterable[Record]) -> float | None:
    """The gate's part of all seconds that cycles took."""
    sums = [(one.seconds.get("gate", 0.0), sum(one.seconds.values())) for one in records]
    whole = sum(seconds for _, seconds in sums)
    return round(sum(gate for gate, _ in sums) / whole, 3) if whole else None


def _seconds(records: Iterable[Record], group: str) -> float | None:
    found = [sum(one.seconds.values()) for one in records if one.group == group]
    return round(median(found), 2) if found else None


def _steps(records: Iterable[Record], group: str) -> Mapping[str, float]:
    own = [one.seconds for one in records if one.group == group]
    names = dict.fromkeys(name for seconds in own for name in seconds)
    return {name: round(median(seconds.get(name, 0.0) for seconds in own), 2) for name in names}


def _since(lake: Lake, began_ms: int) -> Iterator[Manifest]:
    """The last manifest of before that time, and all that followed."""
    current = load_current(lake)
    number, found = current.number if current else 0, []
    while number and (one := load(lake, number)) is not None:
        found.append(one)
        if max(group.published_at_ms for group in one.groups.values()) < began_ms:
            break
        number -= 1
    return reversed(found)


def _until(supervisor: Supervisor, done: Callable[[], bool], say: Say) -> bool:
    """Wait, saying every now and then what is published; false when it was told to end."""
    lake, said = Lake.open(supervisor.settings), 0.0
    while supervisor.running():
        if done():
            return True
        if time.monotonic() - said >= 10:
            said, current = time.monotonic(), load_current(lake)
            say(f"bench: manifest {current.number if current else 'none yet'}")
        supervisor.wait(_TICK_S)
    return False

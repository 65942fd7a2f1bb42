"""`caudal bench ingest`: events/s from Kafka to silver beside a bare copy and the plain job, and age under a load."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from caudal.cli.bench import growth, jobs, steady
from caudal.cli.bench.events import events
from caudal.cli.bench.growth import Sizes
from caudal.cli.bench.jobs import Job, Rig
from caudal.cli.bench.measure import Driver, machine, written
from caudal.settings import Settings
from caudal.spark import JAVA_OPTIONS
from schemas import apply
from schemas.distribution import ContractFeed, Released
from schemas.load import load_catalog
from streaming import session
from streaming.settings import StreamingSettings
from streaming.verify import checks

CONTRACTS = Path(__file__).parent / "contracts"
MODES = ("append", "upsert")
# A driver that works for days, not for minutes: both of the JVM's compilers, as on a cluster.
_LONG_RUN = {"spark.driver.extraJavaOptions": JAVA_OPTIONS}
# Below this share of the bare copy the plain job was disturbed, and what is compared with it says nothing.
PLAIN_OF_BARE = 0.45
# The mean of an event's value on the wire.
VALUE_BYTES = 386


@dataclass(frozen=True)
class Plan:
    """What is run: events on each topic, repeats of each job, records of a batch, the steady load, the growth."""

    events: int
    repeats: int
    batch: int
    rate: int
    seconds: float
    growth: Sizes


def run(settings: Settings, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """All measurements, in one session on running servers; `settings` name those and a scratch data folder."""
    own = settings.section("streaming", StreamingSettings).model_copy(update={"batch_records": plan.batch})
    spark = session.start(settings.with_(spark=settings.spark.model_copy(update={"conf": _LONG_RUN})))
    try:
        rigs = {mode: Rig(spark, settings, own, _released(settings, mode)) for mode in MODES}
        for name, rig in rigs.items():
            say(f"bench: writing {plan.events:,} events to {name}")
            steady.produce(rig, events(rig.released, plan.events, seed=7))
        driver = Driver(spark)
        runs = _alternate(rigs, plan, driver, say)
        codecs = _codecs(rigs["append"], plan, runs["caudal"][-1], say)
        steady.emptied(rigs["append"])
        age = steady.ages(rigs["append"], settings.data_dir / "steady", plan.rate, plan.seconds, say)
        grown = growth.measured(rigs, {mode: CONTRACTS / mode for mode in MODES}, plan.growth, say)
        return {**answer(plan, runs, age, driver.peak_mib()), "codecs": codecs, "growth": grown}
    finally:
        spark.stop()


def _released(settings: Settings, mode: str) -> Released:
    """The contract of that mode, applied."""
    catalog = load_catalog(CONTRACTS / mode)
    [name] = (name for name in catalog if name.startswith("bench."))
    refused = apply.first_error(apply.apply(settings, catalog, [name]))
    if refused is not None:
        raise refused
    feed = ContractFeed(settings)
    try:
        found = feed.read_to_end()
    finally:
        feed.close()
    return replace(found[name], contract=catalog[name])


def _alternate(
    rigs: Mapping[str, Rig], plan: Plan, driver: Driver, say: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """Every job once to warm up, then all of them in turn, so that what disturbs the machine disturbs each."""
    lines: dict[str, tuple[Job, Rig]] = {name: (job, rigs["append"]) for name, job in jobs.JOBS.items()}
    lines["caudal_upsert"] = (jobs.caudal, rigs["upsert"])
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in lines}
    for turn in range(plan.repeats + 1):
        for name, (job, rig) in lines.items():
            with _scratch(rig.settings.data_dir / "run") as folder:
                cpu = driver.cpu_s()
                took = job(rig, folder)
                one = {"eps": plan.events / took, "cpu_s": driver.cpu_s() - cpu, **asdict(written(folder))}
                which = f"{turn} of {plan.repeats}" if turn else "warm-up"
                say(f"bench: {name}, {which}: {one['eps']:,.0f} events/s")
                if turn:
                    found[name].append(one)
                if turn == plan.repeats and job is jobs.caudal:
                    one["verified"] = _verified(rig, folder)
    return found


def _verified(rig: Rig, folder: Path) -> bool:
    """Conservation and idempotence of this run, recounted from Kafka and raw, and silver made anew from raw."""
    return all(check.ok for check in checks(rig.at(folder))) and jobs.differing(rig, folder) == 0


def _codecs(rig: Rig, plan: Plan, zstd: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """The same road with Snappy once, beside the last run with ZSTD: events/s and MiB."""
    with _scratch(rig.settings.data_dir / "run") as folder:
        took = jobs.caudal(rig, folder, "snappy")
        snappy = {"eps": plan.events / took, **asdict(written(folder))}
    say(f"bench: caudal with snappy: {snappy['eps']:,.0f} events/s")
    found = {"zstd": zstd, "snappy": snappy}
    return {name: {"eps": round(one["eps"]), "mib": round(one["mib"], 1)} for name, one in found.items()}


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def answer(
    plan: Plan, runs: Mapping[str, list[dict[str, Any]]], age: Mapping[str, float], peak_mib: float
) -> dict[str, Any]:
    """The JSON that the command prints: medians of all runs, ratios, ages, memory, and how to repeat it."""
    eps = {name: statistics.median(one["eps"] for one in found) for name, found in runs.items()}
    of_bare = eps["plain"] / eps["bare_copy"]
    return {
        "ok": of_bare >= PLAIN_OF_BARE and all(runs[name][-1]["verified"] for name in ("caudal", "caudal_upsert")),
        "bare_copy_eps": round(eps["bare_copy"]),
        "plain_eps": round(eps["plain"]),
        "caudal_eps": round(eps["caudal"]),
        "caudal_upsert_eps": round(eps["caudal_upsert"]),
        "plain_of_bare": round(of_bare, 3),
        "ratio_to_plain": round(eps["caudal"] / eps["plain"], 3),
        "ratio_to_plain_upsert": round(eps["caudal_upsert"] / eps["plain"], 3),
        "silver_age_s": dict(age),
        "peak_driver_mib": round(peak_mib),
        "written_mib_per_s": {
            name: round(statistics.median(one["mib"] * one["eps"] for one in found) / plan.events, 2)
            for name, found in runs.items()
        },
        "share_of_cores": _shares(statistics.median(one["cpu_s"] for one in runs["caudal"]) / plan.events, plan),
        "cpu_s_per_million": {
            name: round(statistics.median(one["cpu_s"] for one in found) / plan.events * 1e6, 1)
            for name, found in runs.items()
        },
        "runs": {name: [_rounded(one) for one in found] for name, found in runs.items()},
        "plan": asdict(plan),
        "command": f"caudal bench ingest --events {plan.events} --repeats {plan.repeats} --batch {plan.batch} "
        f"--rate {plan.rate} --seconds {plan.seconds:g} --growth-rows {_listed(plan.growth.rows)} "
        f"--growth-contracts {_listed(plan.growth.contracts)} -o json",
        "machine": machine(),
    }


def _shares(cpu_s: float, plan: Plan) -> dict[str, float]:
    """What share of two cores a day's load would take, at the CPU seconds of one event: one million transactions, and
    50 GB of values (of the benchmark's size)."""
    events = {"million_a_day": 1e6, "50_gb_a_day": 50e9 / VALUE_BYTES}
    return {name: round(cpu_s * n / (2 * 86_400), 4) for name, n in events.items()}


def _listed(sizes: Sequence[int]) -> str:
    return ",".join(map(str, sizes)) or "none"


def _rounded(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in one.items()}

"""How speed and age change with the size of silver, and with the number of contracts that share the work."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caudal.cli.bench import jobs, steady
from caudal.cli.bench.events import Choose, Event, events, uniform
from caudal.cli.bench.jobs import Rig
from caudal.lake import Lake
from caudal.settings import Settings
from schemas import apply
from schemas.contract import Contract
from schemas.distribution import ContractFeed, Released
from schemas.load import load_catalog
from schemas.tables import silver_columns
from streaming import tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Say = Callable[[str], None]
# Silver holds a month; what came in its last day is what changes most.
_DAYS = 30
_HOT = 0.95


@dataclass(frozen=True)
class Sizes:
    """Rows that silver has before, numbers of contracts, events of a backlog, rate and seconds of the steady load."""

    rows: Sequence[int]
    contracts: Sequence[int]
    events: int
    rate: int
    seconds: float


def measured(rigs: Mapping[str, Rig], templates: Mapping[str, Path], sizes: Sizes, say: Say) -> dict[str, Any]:
    """`rows` {append, upsert, upsert_uniform: {rows: …}} and `contracts` {n: …}: eps and age at P95 of each."""
    kinds: dict[str, tuple[Rig, Callable[[int], Choose]]] = {
        "append": (rigs["append"], uniform),
        "upsert": (rigs["upsert"], recent),
        "upsert_uniform": (rigs["upsert"], uniform),
    }
    by_rows = {
        name: {str(n): _with_rows(rig, n, choose(n), sizes, say, name) for n in sizes.rows}
        for name, (rig, choose) in kinds.items()
    }
    by_contracts = {
        str(n): _with_contracts(rigs["append"], templates["append"], n, sizes, say) for n in sizes.contracts
    }
    return {"rows": by_rows, "contracts": by_contracts, "sizes": asdict(sizes)}


def recent(keys: int) -> Choose:
    """95 % of the accounts are among those of the last day, 5 % any of them."""
    first = keys - max(1, keys // _DAYS)

    def choose(chance: random.Random) -> int:
        return chance.randrange(first if chance.random() < _HOT else 0, keys)

    return choose


def _with_rows(rig: Rig, rows: int, choose: Choose, sizes: Sizes, say: Say, name: str) -> dict[str, float]:
    steady.emptied(rig)
    steady.produce(rig, events(rig.released, sizes.events, seed=11, account=choose))
    with _folder(rig.settings.data_dir / "growth") as folder:
        say(f"bench: {name}, filling silver with {rows:,} rows")
        fill(rig, folder, rows)
        return _both(rig, folder, sizes, say, f"{name}, {rows:,} rows")


def _with_contracts(rig: Rig, template: Path, count: int, sizes: Sizes, say: Say) -> dict[str, float]:
    with _folder(rig.settings.data_dir / "growth") as folder:
        many = replace(rig, released=(all_ := copies(rig.settings, template, folder / "contracts", count))[0])
        many = replace(many, others=tuple(all_[1:]))
        steady.produce(many, shared(all_, sizes.events))
        return _both(many, folder, sizes, say, f"{count} contracts")


def _both(rig: Rig, folder: Path, sizes: Sizes, say: Say, what: str) -> dict[str, float]:
    took = jobs.caudal(rig, folder)
    age = steady.ages(rig, folder, sizes.rate, sizes.seconds, say)
    found = {"eps": round(sizes.events / took), "silver_age_p95_s": age["p95"]}
    say(f"bench: {what}: {found['eps']:,} events/s, P95 {found['silver_age_p95_s']} s at {sizes.rate}/s")
    return found


def shared(released: Sequence[Released], count: int, seed: int = 11) -> Iterator[Event]:
    """`count` events, as many of each contract."""
    each = [islice(events(one, count, seed + n), count // len(released)) for n, one in enumerate(released)]
    return chain.from_iterable(zip(*each, strict=True))


def copies(settings: Settings, template: Path, folder: Path, count: int) -> list[Released]:
    """So many contracts like the template's, applied: `many<n>.payment`."""
    [source] = (path for path in template.iterdir() if path.is_dir())
    [event] = (path for path in source.iterdir() if path.is_dir())
    names = [f"many{count}x{n}.{event.name}" for n in range(count)]
    for name in names:
        place = folder / name.replace(".", "/")
        shutil.copytree(event, place)
        for file in place.iterdir():
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(f"id: {source.name}.{event.name}", f"id: {name}"), encoding="utf-8")
    catalog = load_catalog(folder)
    refused = apply.first_error(apply.apply(settings, catalog, names))
    if refused is not None:
        raise refused
    feed = ContractFeed(settings)
    try:
        found = feed.read_to_end()
    finally:
        feed.close()
    return [replace(found[name], contract=catalog[name]) for name in names]


def fill(rig: Rig, folder: Path, rows: int) -> None:
    """Give silver so many rows before anything is read: ids of their own, event times over the last month."""
    contract, lake = rig.released.contract, Lake.open(rig.at(folder))
    path = tables.create_silver(rig.spark, lake, contract)
    _rows(rig, contract, rows).write.format("delta").mode("append").save(path)


def _rows(rig: Rig, contract: Contract, rows: int) -> DataFrame:
    """Tokens are left out: they are not looked at, and would be most of the bytes."""
    month_ms = _DAYS * 86_400_000
    made = {
        "event_id": "concat('fill-', id)",
        "tenant_id": "concat('tenant-', id % 50)",
        "account_id": "concat('account-', id)",
        "revision": "-1",
        "amount": "id % 100000",
        "subject_ref": "md5(cast(id AS STRING))",
        "occurred_at": f"timestamp_millis(CAST(unix_millis(now()) - ({rows} - id) * {month_ms}L / {rows} AS BIGINT))",
        "_published_at": "timestamp_seconds(0)",
        "_topic": f"'{contract.topic}'",
        "_partition": "-1",
        "_offset": "id",
        "_batch": "0",
        "_version": "1",
    }
    columns = [f"CAST({made.get(c.name, 'NULL')} AS {c.spark_type}) AS `{c.name}`" for c in silver_columns(contract)]
    # As many files as a table of this size would have after care.
    return rig.spark.range(0, rows, 1, max(2, rows // 1_000_000)).selectExpr(*columns)


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def plain(found: Mapping[str, Any]) -> str:
    """For people: one line for each size."""
    lines = [f"{name}, {n} rows: {json.dumps(one)}" for name, by in found["rows"].items() for n, one in by.items()]
    return "\n".join([*lines, *(f"{n} contracts: {json.dumps(one)}" for n, one in found["contracts"].items())])

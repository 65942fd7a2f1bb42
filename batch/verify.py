"""Invariant 3, only tested gold: every version that readers are sent to passed its gate, in one cycle of its group.

Reads the manifest once, then only what never changes after it was written: records, results, commits. So it may run
beside a working batch process. Needs no JVM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from batch import record
from batch.record import Built, Record
from caudal.commits import commit_info
from caudal.lake import Lake
from caudal.proof import Check
from caudal.settings import Settings
from quality.results import FOLDER as RESULTS
from schemas import manifest as manifests
from schemas.manifest import Group, TableVersion

INVARIANT = 3
NAME = "only tested gold"


def checks(settings: Settings) -> list[Check]:
    """The proof for the manifest that is current now; `examined` counts published tables."""
    lake = Lake.open(settings)
    current = manifests.load_current(lake)
    if current is None:
        return [Check(INVARIANT, NAME, True, 0, "nothing is published yet")]
    found: list[str] = []
    if manifests.load(lake, current.number) != current:
        found.append(f"manifest {current.number}: current.json is not what was published under that number")
    for name, group in current.groups.items():
        found += _group(lake, name, group)
    examined = sum(len(group.tables) for group in current.groups.values())
    cycles = ", ".join(f"{name}: {group.cycle}" for name, group in sorted(current.groups.items()))
    return [Check(INVARIANT, NAME, not found, examined, f"manifest {current.number} ({cycles})", tuple(found))]


def chain(lake: Lake, cycle: str) -> Iterator[Record]:
    """The record of a published cycle and, through restores, those that its content comes from; gated one last."""
    seen: set[str] = set()
    while cycle and cycle not in seen:
        seen.add(cycle)
        found = record.load(lake, cycle)
        if found is None:
            return
        yield found
        cycle = found.inherits


def _group(lake: Lake, name: str, group: Group) -> Iterator[str]:
    """What is wrong with one group's entry."""
    served = {mart: Built(t.version, t.table_id, t.rows) for mart, t in group.tables.items()}
    for mart, table in group.tables.items():
        yield from _table(lake, mart, table)
    links = list(chain(lake, group.cycle))
    if not links:
        yield f"group {name}: there is no record of cycle {group.cycle}"
        return
    expected: Mapping[str, Built] = served
    for link in links:
        yield from _same(link, name, expected)
        if not link.inherits:
            break
        for mart, origin in link.restored_from.items():
            yield from _is_restore(lake, mart, link, origin)
        expected = {
            mart: Built(link.restored_from.get(mart, built.version), built.table_id, built.rows)
            for mart, built in expected.items()
        }
    yield from _gated(lake, name, links[-1], dict(group.silver_versions))


def _same(link: Record, name: str, expected: Mapping[str, Built]) -> Iterator[str]:
    if link.group != name:
        yield f"group {name}: cycle {link.cycle} is one of group {link.group}"
    for mart in sorted(set(expected) | set(link.tables)):
        if expected.get(mart) != link.tables.get(mart):
            yield f"mart {mart}: what is served is not what cycle {link.cycle} left"


def _is_restore(lake: Lake, mart: str, link: Record, origin: int) -> Iterator[str]:
    """A restored table's commit must be the RESTORE to the gated version, or its content is anybody's."""
    wanted = link.tables[mart].version
    commit = commit_info(lake, "gold", mart, wanted)
    if commit is None:
        yield f"mart {mart}: the commit of restore {link.cycle} is not in the log any more"
        return
    parameters = commit.get("operationParameters", {})
    if commit.get("operation") != "RESTORE" or str(parameters.get("version")) != str(origin):
        yield f"mart {mart}: version {wanted} is no restore of version {origin}"


def _gated(lake: Lake, name: str, gated: Record, silver: Mapping[str, int]) -> Iterator[str]:
    """The record at the end of the chain must hold a passed gate, and so must its results."""
    if gated.inherits:
        yield f"group {name}: the cycle that gated the content of {gated.cycle} is not recorded"
        return
    if gated.state not in ("passed", "published") or gated.failed:
        yield f"group {name}: cycle {gated.cycle} did not pass its gate"
    if dict(gated.silver_versions) != silver:
        yield f"group {name}: the manifest names other silver versions than cycle {gated.cycle} read"
    evidence = lake.read_bytes(f"{RESULTS}/{gated.cycle}.json")
    if evidence is None:
        yield f"group {name}: cycle {gated.cycle} left no results"
        return
    document = json.loads(evidence)
    tested = {result["table"] for result in document["results"] if result["layer"] == "gold"}
    if not document["ok"]:
        yield f"group {name}: the results of cycle {gated.cycle} say that it failed"
    for mart in sorted(set(gated.tables) - tested):
        yield f"mart {mart}: cycle {gated.cycle} has no result for it"


def _table(lake: Lake, mart: str, table: TableVersion) -> Iterator[str]:
    """The served version must be there, and be the table that was gated."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    address = f"{lake.uri}/{table.path}"
    if not address.startswith("s3") and not Path(address).is_dir():
        yield f"mart {mart}: its table is gone"
        return
    try:
        found = DeltaTable(address, version=table.version, storage_options=lake.storage_options)
    except (DeltaError, OSError, ValueError) as error:
        yield f"mart {mart}: version {table.version} cannot be opened ({type(error).__name__})"
        return
    if str(found.metadata().id) != table.table_id:
        yield f"mart {mart}: version {table.version} belongs to another table than the gated one"

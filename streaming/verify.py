"""Proofs of this stage, from outside and without a JVM, on a running or a stopped install.

1, conservation: every record that Kafka still has is in raw exactly once, byte for byte; every raw record is exactly
one of the ledger's states; nothing is in silver or among the dead letters that raw does not have.
7, idempotence: nothing is in silver twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from caudal.clock import SystemClock
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.proof import Check
from caudal.query import Query
from caudal.settings import Settings
from schemas.contract import Contract
from schemas.load import load_catalog
from streaming import kafka_recount
from streaming.recount import Found, Recount, totals
from streaming.tables import RAW
from streaming.when import first_batch, parse

# While the stream runs, tables are pinned one after the other. What is wrong in truth is still wrong a moment later.
_LOOKS, _PAUSE_S = 3, 2.0
_SHOWN = 10


def checks(settings: Settings, since: str | None = None) -> list[Check]:
    """Invariants 1 and 7, of raw batches from `since` (see `when`) on. A lake without raw gives failed checks with
    nothing examined. Raises UsageError when `since` is no moment."""
    lake = Lake.open(settings)
    if not lake.has_table(*RAW):
        nothing = "nothing has been streamed into this lake yet"
        return [Check(1, "conservation", False, 0, nothing), Check(7, "idempotence", False, 0, nothing)]
    first = first_of(lake, since) if since else 0
    contracts, heard = _contracts(settings)
    lake_found, recount = _looked(lambda: Recount(lake, contracts, first), Recount.conservation)
    kafka_found, kafka_detail = _kafka(settings, lake, heard, first)
    twice, recount = _looked(lambda: Recount(lake, contracts, first), Recount.idempotence, recount)
    states = totals(recount.pinned)
    looked = f"from raw batch {first} on: " if first else ""
    detail = looked + ", ".join(f"{name} {states[name]}" for name in states)
    findings = (*lake_found.findings, *kafka_found.findings)
    return [
        Check(
            1,
            "conservation",
            not findings and lake_found.examined > 0,
            lake_found.examined + kafka_found.examined,
            f"{detail}; {kafka_detail}",
            findings[:_SHOWN],
        ),
        Check(
            7,
            "idempotence",
            not twice.findings and twice.examined > 0,
            twice.examined,
            f"{looked}{len(recount.pinned)} tables",
            tuple(twice.findings[:_SHOWN]),
        ),
    ]


def first_of(lake: Lake, since: str) -> int:
    """The raw batch from which `since` looks. Raises UsageError when it is no moment."""
    raw = Query(lake)
    raw.table("raw", *RAW)
    return first_batch(raw, parse(since, SystemClock().now()))


def deep(settings: Settings, wait_s: float, since: str | None = None) -> Check:
    """Every silver table made anew from raw, beside the live one, and compared row by row; the stream goes on.

    With `since`, those with records since then, beginning with what they held then. A command to the streaming process,
    or carried out here when there is none. Raises what `ask` raises; VersionGone when that version is not there.
    """
    from streaming.ask import ask

    found = ask(settings, "compare", {"since": since}, wait_s)["tables"]
    wrong = [
        f"{one['contract']}: {one['differ']} rows differ from what raw gives, at {', '.join(one['at'])}"
        for one in found
        if one["differ"]
    ]
    rows = sum(one["rows"] for one in found)
    skipped = [f"{one['contract']} ({one['skipped']})" for one in found if one.get("skipped")]
    first = min((one["from_batch"] for one in found if not one.get("skipped")), default=1)
    detail = f"{len(found) - len(skipped)} tables made anew from raw batch {first} on and compared"
    if skipped:
        detail += f"; not compared: {', '.join(skipped)}"
    return Check(1, "conservation, deep", not wrong and (rows > 0 or bool(since)), rows, detail, tuple(wrong[:_SHOWN]))


def _looked(
    pin: Callable[[], Recount], look: Callable[[Recount], Found], first: Recount | None = None
) -> tuple[Found, Recount]:
    """Look once; at findings again on newer versions, since a stream in motion is pinned table by table."""
    recount = first or pin()
    for again in range(_LOOKS):
        found = look(recount)
        if not found.findings or again == _LOOKS - 1:
            break
        time.sleep(_PAUSE_S)
        recount = pin()
    return found, recount


def _contracts(settings: Settings) -> tuple[list[Contract], bool]:
    """The contracts released, or those in the folder when no broker answers; and whether one did."""
    from schemas.distribution import ContractFeed
    from schemas.settings import SchemasSettings

    patient = settings.section("schemas", SchemasSettings).model_copy(update={"deadline_s": 5.0}).model_dump()
    known = dict(load_catalog(settings.contracts_dir).items())
    try:
        feed = ContractFeed(settings.with_(schemas=patient))
        try:
            released = feed.read_to_end()
        finally:
            feed.close()
    except TransientError:
        return list(known.values()), False
    return list({**known, **{name: one.contract for name, one in released.items()}}.values()), True


def _kafka(settings: Settings, lake: Lake, heard: bool, first: int) -> tuple[Found, str]:
    if not heard:
        return Found(), "no broker answers, so Kafka was not compared"
    try:
        found, partial = kafka_recount.compare(settings, lake, first)
    except TransientError as error:
        return Found(), f"Kafka was not compared: {error.what}"
    return found, f"{found.examined} records of Kafka compared" + (", the newest of each partition" if partial else "")

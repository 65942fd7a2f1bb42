"""Public sets through mapping, publisher and streaming: what fits is in silver exactly, what does not has its code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caudal.settings import Settings
from producers.publish import Publisher
from producers.publish_contracts import Contracts
from producers.publish_prepare import Prepared, Refused
from producers.rejected import Rejected
from producers.settings import ProducersSettings
from producers.shopify.mapping import CUSTOMER, ORDER, REFUND, TOPICS, map_payload
from producers.simulate.payloads import VERSIONS, fixture
from schemas.contract import Contract
from schemas.distribution import Released
from schemas.lint import lint
from schemas.load import load_contract
from schemas.wire import compact
from streaming.writers import Registered
from tests.conftest import CONTRACTS
from tests.support import contracts, snowplow
from tests.support.avro_pairs import as_silver
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import NOON

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
REJECTED = "caudal.rejected"
SNOW = "sets.snowplow"
SIMULATE = Path(__file__).resolve().parents[3] / "producers" / "simulate"
RELEASES, FIXTURES = SIMULATE / "releases", SIMULATE / "fixtures" / "shopify"
EVOLVING = "evolving"


@contextmanager
def publishing(settings: Settings, *known: Released) -> Iterator[Publisher]:
    """A publisher that knows these; nothing is sent."""
    fixed = Contracts.fixed({one.contract.id: one for one in known})
    opened = Publisher(settings, source="sets", contracts=fixed)
    try:
        yield opened
    finally:
        opened.close()


def as_message(prepared: Prepared) -> Message:
    return Message(prepared.contract_id, prepared.key, prepared.value, list(prepared.headers))


def payloads(version: str) -> Iterator[tuple[str, Any]]:
    """(contract, payload as its bytes are read) of every topic of a version that a contract takes."""
    for topic, contract in TOPICS.items():
        folder, _, name = topic.partition("/")
        if (FIXTURES / version / folder / f"{name}.json").is_file():
            yield contract, json.loads(json.dumps(fixture(version, topic)), parse_float=Decimal)


def second_order(folder: Path) -> Contract:
    """`commerce.order` with the version that is released while the demo plays."""
    target = folder / "commerce" / "order"
    target.mkdir(parents=True)
    for file in (CONTRACTS / "commerce" / "order").iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    (target / "v2.avsc").write_bytes((RELEASES / "commerce" / "order" / "v2.avsc").read_bytes())
    return load_contract(target)


def shopify(publisher: Publisher, version: str, fields: Iterable[str]) -> list[Message]:
    """A version's payloads twice: of a shop of its own, and of one shop that goes through all versions."""
    minute = VERSIONS.index(version) + 1
    out = []
    for contract, payload in payloads(version):
        known = set(fields) if contract == ORDER else set()
        for shop in (version, EVOLVING):
            later = (
                {"updated_at": f"2022-01-01T00:0{minute}:00+00:00"} if shop == EVOLVING and contract != REFUND else {}
            )
            mapped = map_payload(contract, {**payload, **later}, shop, known)
            [answer] = publisher.prepare_many(contract, [mapped.event], observed_at=mapped.changed_ms)
            assert isinstance(answer, Prepared), answer
            out.append(as_message(answer))
    return out


def test_all_shopify_versions_in_order(spark: SparkSession, offline_settings: Settings, tmp_path: Path) -> None:
    """Five API versions of every topic with a contract: the field changes that the set's description names are in
    silver, each state once, and a version of our contract is released between the fourth and the fifth."""
    known = released()
    ours = [known[name] for name in (ORDER, CUSTOMER, REFUND)]
    bench = Bench(spark, offline_settings, ours)
    with publishing(offline_settings, *ours) as publisher:
        first = [m for version in VERSIONS[:4] for m in shopify(publisher, version, ())]
    bench.batch(first)

    order = Released(second_order(tmp_path), {**known[ORDER].ids, 2: 777})
    bench.release(order)
    names = [item["name"] for item in order.contract.latest.avsc["fields"]]
    with publishing(offline_settings, order, *ours[1:]) as publisher:
        last = shopify(publisher, VERSIONS[4], names)
    bench.batch(last)
    assert {name: worker.halted for name, worker in bench.batches.workers.items()} == dict.fromkeys(
        (CUSTOMER, ORDER, REFUND)
    )
    # A refund has no time of change: the same one told otherwise by each version is another event under its id.
    assert bench.dead_letters() == [("CDL-CONFLICT", "event_id")] * 4

    money, later = ["388.00", "388.00", "388.00", "359.97", "359.97"], [None] * 4 + ["MTU0ODM4MDAwOQ"]
    columns = "order_id, total, fulfillment_status, line_items, business_entity_id, duties_included, customer_email"
    orders = {row["shop_id"]: row for row in bench.silver(ORDER, f"shop_id, {columns}, _contract_version")}
    assert {v: row["total"] for v, row in orders.items() if v != EVOLVING} == {
        v: Decimal(total) for v, total in zip(VERSIONS, money, strict=True)
    }
    assert [orders[v]["business_entity_id"] for v in VERSIONS] == later
    assert [orders[v]["duties_included"] for v in VERSIONS] == [None] * 4 + [False]
    assert [orders[v]["_contract_version"] for v in VERSIONS] == [1, 1, 1, 1, 2]
    assert [orders[v]["fulfillment_status"] for v in VERSIONS] == ["pending", "pending", None, None, None]
    assert [{line["variant_id"] for line in orders[v]["line_items"]} for v in VERSIONS] == [
        *[{"808950810"}] * 3, {None}, {None}
    ]  # fmt: skip
    # The number was rounded on its way, the text was not; the mask is what people may see.
    assert {row["order_id"] for row in orders.values()} == {"820982911946154508"}
    assert {row["customer_email"] for row in orders.values()} == {"jo***@example.com"}
    evolved = {name: value for name, value in orders[EVOLVING].items() if name != "shop_id"}
    assert evolved == {name: value for name, value in orders[VERSIONS[4]].items() if name != "shop_id"}

    customers = {row["shop_id"]: row for row in bench.silver(CUSTOMER, "shop_id, customer_email, updated_at")}
    assert [customers[v]["customer_email"] for v in VERSIONS] == [*["bo***@biller.com"] * 4, None]
    assert customers[EVOLVING]["customer_email"] is None

    refunds = {row["shop_id"]: row for row in bench.silver(REFUND, "shop_id, amount, lines")}
    # An int until 2024-04, a float from then on; without transactions the lines say how much went back.
    subtotals = [[line["subtotal"] for line in refunds[v]["lines"]] for v in VERSIONS]
    assert subtotals[:3] == [[Decimal("199.00")] * 2] * 3
    assert subtotals[3:] == [[Decimal("89.99"), Decimal("159.99"), Decimal("119.99")]] * 2
    assert [refunds[v]["amount"] for v in VERSIONS[:2]] == [Decimal("398.00"), Decimal("85.00")]

    read = Counter(message.topic for message in (*first, *last))
    assert read == {ORDER: 5 * 2 * 4, CUSTOMER: 5 * 2 * 2, REFUND: 5 * 2}
    for contract in (ORDER, CUSTOMER, REFUND):
        ledger = bench.ledger(contract)
        assert ledger["read"] == read[contract]
        assert (
            sum(ledger.get(state, 0) for state in ("applied", "duplicate", "superseded", "dead_letter"))
            == read[contract]
        )
    assert bench.findings() == []


def snow(folder: Path, *versions: tuple[dict[str, Any], ...]) -> Contract:
    return contracts.make(folder, *versions, id=SNOW, name="Snow")


def told_of(
    publisher: Publisher,
    settings: Settings,
    good: dict[tuple[str, str], snowplow.Line],
    counts: dict[int, Counter[str]],
) -> Iterator[Message]:
    """Every line of the three files as a record: an event, or a request that was refused at the door."""
    own = Rejected(publisher, settings.section("producers", ProducersSettings))
    for spec in snowplow.FILES:
        counts[spec] = Counter()
        for number, line in enumerate(snowplow.lines(spec)):
            answer: Prepared | Refused | None = None
            if line.event is not None:
                at = line.event["happened_at"]
                [answer] = publisher.prepare_many(SNOW, [line.event], observed_at=at, version=line.version)
            if isinstance(answer, Prepared) and line.event is not None:
                counts[spec]["good"] += 1
                good[line.event["tenant_id"], line.event["event_id"]] = line
            else:
                code, path = (answer.code, answer.path) if isinstance(answer, Refused) else ("CDL-JSON", "$")
                counts[spec][f"{code} {path}"] += 1
                answer = own.prepared("t", SNOW, "sdk", code, path, line.raw, event_id=f"{spec}:{number}", at_ms=NOON)
            yield as_message(answer)


@pytest.mark.skipif(not snowplow.ROOT.is_dir(), reason=f"the public data set is not in {snowplow.ROOT}")
def test_snowplow_events(spark: SparkSession, offline_settings: Settings, tmp_path: Path) -> None:
    """50 lines are 46 events and 4 refusals, 100 are 100 twice, six models in one stream; records of a version that is
    not known yet wait for it, and the change that breaks its field is refused and comes as a field of its own."""
    all_versions = [snowplow.fields(n) for n in range(1, 7)]
    five, six = snow(tmp_path / "five", *all_versions[:5]), snow(tmp_path / "six", *all_versions)
    assert [f for f in lint(six) if f.severity == "error" and f.code != "CDL-CONTRACT-WIRE"] == []
    told = {f.code for f in lint(snow(tmp_path / "broken", *all_versions[:5], snowplow.broken()))}
    assert "CDL-CONTRACT-COMPATIBILITY" in told

    ids = {n: 600 + n for n in range(1, 7)}
    rejected = released()[REJECTED]
    bench = Bench(spark, offline_settings, [Released(five, {n: ids[n] for n in range(1, 6)}), rejected])
    # The registry has the version that the stage does not know yet.
    subject = six.registry_subject
    bench.registry.schemas[ids[6]] = Registered(compact(six.latest.wire), ((subject, 6),))
    good: dict[tuple[str, str], snowplow.Line] = {}
    counts: dict[int, Counter[str]] = {}
    with publishing(offline_settings, Released(six, ids), rejected) as publisher:
        messages = list(told_of(publisher, offline_settings, good, counts))
    assert counts == {
        4: {"good": 46, "CDL-JSON $": 2, "CDL-NO-FIELD session.id": 2},
        5: {"good": 100},
        6: {"good": 100},
    }
    bench.batch(messages)
    breaking = sum(line.version == snowplow.BREAKING for line in good.values())
    assert breaking == 24
    assert bench.ledger(SNOW) == {"read": 246, "applied": 246 - breaking, "parked": breaking}
    bench.release(Released(six, ids))
    bench.batches.flush()
    assert bench.ledger(SNOW) == {"read": 246, "applied": 246}
    assert bench.dead_letters() == []

    kinds = {item["name"]: item["type"] for item in six.latest.avsc["fields"]}
    rows = {(row["tenant_id"], row["event_id"]): row for row in bench.silver(SNOW)}
    assert rows.keys() == good.keys()
    for place, line in good.items():
        event, row = line.event or {}, rows[place]
        for name in ("session", "test_a", "test_a_2"):
            assert row[name] == as_silver(kinds[name], event.get(name)), (place, name)
        assert row["happened_at"] == datetime.fromisoformat(event["happened_at"]).astimezone(UTC)
        assert row["_contract_version"] == line.version
        assert (row["user_id"] is None) is (event["user_id"] is None)
        assert "@iglu.com" not in (row["user_id"] or "@iglu.com")[:5]
    refusals = bench.silver(REJECTED, "code, path", "1")
    assert Counter((row["code"], row["path"]) for row in refusals) == {
        ("CDL-JSON", "$"): 2, ("CDL-NO-FIELD", "session.id"): 2
    }  # fmt: skip
    assert bench.findings() == []

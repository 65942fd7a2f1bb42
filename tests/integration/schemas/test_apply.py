"""Contracts become real on a broker and a registry, once, and running stages hear of every change."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer import Typer
from typer.testing import CliRunner

from caudal.cli import contract as cli_contract
from caudal.cli import plan as cli_plan
from caudal.errors import CaudalError, Exit
from caudal.settings import KafkaSettings, RegistrySettings, Settings
from schemas import scaffold
from schemas.apply import Applied, apply
from schemas.contract import Catalog
from schemas.distribution import ContractFeed, Released, publish
from schemas.errors import Unreachable
from schemas.load import BUILT_IN_ROOT, load_catalog, load_contract
from schemas.registry import client as registry
from schemas.settings import SchemasSettings
from schemas.topics import client_conf
from schemas.watch import watch
from tests.support.contracts import YAML, field, pii, write

pytestmark = pytest.mark.kafka


@pytest.fixture
def own(settings: Settings) -> Settings:
    """Settings with a contracts topic of this test alone."""
    return settings.with_(schemas={"contracts_topic": f"contracts-{uuid4().hex[:8]}", "watch_s": 0.05})


@pytest.fixture
def name() -> str:
    """A contract id that nobody else uses."""
    return f"t{uuid4().hex[:8]}.thing"


@pytest.fixture
def feed(own: Settings) -> Iterator[ContractFeed]:
    opened = ContractFeed(own)
    yield opened
    opened.close()


def apply_one(settings: Settings, folder: Path) -> Applied:
    contract = load_contract(folder)
    (result,) = apply(settings, Catalog({contract.id: contract}))
    return result


def test_a_draft_is_not_released(own: Settings, feed: ContractFeed, tmp_path: Path, name: str) -> None:
    """Neither the watcher nor an apply of everything takes a draft."""
    draft = scaffold.new(tmp_path, name)
    assert apply(own, Catalog({name: draft})) == []
    assert feed.read_to_end() == {}


def config_of(settings: Settings, topic: str) -> dict[str, str]:
    from confluent_kafka.admin import AdminClient, ConfigResource

    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient(client_conf(settings))
    found = admin.describe_configs([resource])[resource].result(10)
    return {key: entry.value for key, entry in found.items()}


def wait(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Poll a condition; the deadline only ends a test that has failed."""
    until = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < until, "the condition did not come true"
        tick.wait(0.02)


def test_every_contract_of_the_repository_can_be_applied_twice(own: Settings, feed: ContractFeed) -> None:
    """All nine are registered, have a topic and are distributed; the second time changes nothing."""
    catalog = load_catalog(BUILT_IN_ROOT)
    first = apply(own, catalog)
    assert [(result.contract, result.error, result.changed) for result in first] == [(n, None, True) for n in catalog]
    second = apply(own, catalog)
    assert [(r.topic_created, r.changed, r.ids) for r in second] == [(False, False, r.ids) for r in first]
    released = feed.read_to_end()
    assert {n: r.contract for n, r in released.items()} == dict(catalog)
    assert {n: dict(r.ids) for n, r in released.items()} == {r.contract: r.ids for r in first}


def test_what_is_registered_is_the_wire_schema(own: Settings, tmp_path: Path, name: str) -> None:
    """The registry holds the wire schema under <topic>-value, at the contract's compatibility level."""
    folder = write(tmp_path, (pii("contact_email", "email"),), id=name)
    result = apply_one(own, folder)
    client = registry.make(own)
    contract = load_contract(folder)
    assert registry.registered(client, f"{name}-value") == [contract.latest.wire]
    assert json.loads(client.get_schema(result.ids[1]).schema_str) == contract.latest.wire
    assert client.get_compatibility(f"{name}-value") == "BACKWARD_TRANSITIVE"


def test_the_topic_follows_the_contract(own: Settings, tmp_path: Path, name: str) -> None:
    """Partitions, retention and the hour's limit of a plaintext topic come from contract and settings."""
    yaml = YAML + "retention: {topic: P2D}\ningress: plaintext\n"
    assert apply_one(own, write(tmp_path, (), id=name, yaml=yaml)).topic_created
    config = config_of(own, name)
    assert (config["retention.ms"], config["message.timestamp.type"]) == (str(2 * 86_400_000), "LogAppendTime")
    folder = write(tmp_path, (), id=name, yaml=yaml.replace("P2D", "P3D"))
    assert not apply_one(own, folder).topic_created
    assert config_of(own, name)["retention.ms"] == str(3 * 86_400_000)
    assert int(config_of(own, f"in.{name}")["retention.ms"]) <= 3_600_000
    assert config_of(own, own.section("schemas", SchemasSettings).contracts_topic)["cleanup.policy"] == "compact"


def test_a_new_version_reaches_a_running_reader(own: Settings, tmp_path: Path, name: str, feed: ContractFeed) -> None:
    """A reader that stays open gets version 2 with its id, and nothing when the same is applied again."""
    apply_one(own, write(tmp_path, (), id=name))
    before = feed.read_to_end()[name]
    folder = write(tmp_path, (), (field("size", "int"),), id=name)
    result = apply_one(own, folder)
    (after,) = feed.poll(10)
    assert [v.number for v in after.contract.versions] == [1, 2]
    assert (after.version_of(before.ids[1]), after.version_of(result.ids[2]), after.version_of(-1)) == (1, 2, None)
    apply_one(own, folder)
    publish(own, after)
    assert feed.poll(0.5) == []
    assert feed.read_to_end()[name] == after


def test_a_released_version_never_changes(own: Settings, tmp_path: Path, name: str, feed: ContractFeed) -> None:
    """Another text for a released version is refused by the topic, and by the registry when the topic is lost."""
    apply_one(own, write(tmp_path, (), id=name))
    folder = write(tmp_path, (field("size", "int"),), id=name)
    refused = apply_one(own, folder)
    assert refused.error is not None
    assert refused.error.code == "CDL-CONTRACT-RELEASED"
    assert refused.error.exit_code == 4
    elsewhere = own.with_(schemas={"contracts_topic": f"contracts-{uuid4().hex[:8]}"})
    again = apply_one(elsewhere, folder)
    assert again.error is not None
    assert again.error.code == "CDL-CONTRACT-RELEASED"
    assert feed.read_to_end()[name].contract.latest.avsc["fields"][-1]["name"] == "happened_at"


def test_an_incompatible_version_is_refused(own: Settings, tmp_path: Path, name: str, feed: ContractFeed) -> None:
    """It reaches neither the registry nor a running stage; the registry refuses it from anybody else, too."""
    apply_one(own, write(tmp_path, (), id=name))
    folder = write(tmp_path, (), ({"name": "must", "type": "string"},), id=name)
    refused = apply_one(own, folder)
    assert refused.error is not None
    assert (refused.error.code, refused.error.exit_code) == ("CDL-CONTRACT-COMPATIBILITY", 4)
    client, contract = registry.make(own), load_contract(folder)
    with pytest.raises(CaudalError):
        registry.register(client, contract.registry_subject, contract.latest.wire)
    assert len(registry.registered(client, contract.registry_subject)) == 1
    assert len(feed.read_to_end()[name].contract.versions) == 1


@pytest.mark.parametrize("app", [cli_contract.app, cli_plan.app], ids=["contract diff", "plan"])
def test_exit_codes_tell_what_an_apply_would_do(own: Settings, tmp_path: Path, name: str, app: Typer) -> None:
    """0 nothing, 10 pending, 4 breaking, beside what the running stack holds; `plan` and `contract diff` alike."""
    verb = ["diff", name] if app is cli_contract.app else [name, "--records", "0"]
    env = {
        "CAUDAL_KAFKA__BOOTSTRAP": own.kafka.bootstrap,
        "CAUDAL_SCHEMAS__CONTRACTS_TOPIC": own.section("schemas", SchemasSettings).contracts_topic,
    }

    def told(*versions: tuple[dict[str, Any], ...]) -> tuple[int, str]:
        write(tmp_path, *versions, id=name)
        where = ["--data", str(own.data_dir), "--contracts", str(tmp_path), "-o", "json"]
        result = CliRunner().invoke(app, [*verb, *where], env=env)
        return result.exit_code, json.loads(result.stdout)["verdict"]

    assert told(()) == (Exit.PENDING, "pending")
    apply_one(own, write(tmp_path, (), id=name))
    assert told(()) == (0, "none")
    assert told((), (field("size", "int"),)) == (Exit.PENDING, "pending")
    assert told((), ({"name": "must", "type": "string"},)) == (Exit.CONTRACT, "breaking")
    assert told((field("size", "int"),)) == (Exit.CONTRACT, "breaking")


def test_a_crash_before_distribution_is_finished_by_the_next_run(own: Settings, tmp_path: Path, name: str) -> None:
    """Registered, but never distributed: applied again it gets the same ids and is distributed."""
    folder = write(tmp_path, (), (field("size", "int"),), id=name)
    lost = apply_one(own.with_(schemas={"contracts_topic": f"contracts-{uuid4().hex[:8]}"}), folder)
    again = apply_one(own, folder)
    assert (again.ids, again.topic_created, again.changed) == (lost.ids, False, True)


def test_an_unreadable_message_is_skipped(own: Settings, feed: ContractFeed) -> None:
    """A message that is no contract stops no reader, and hides no other contract."""
    from confluent_kafka import Producer

    topic = own.section("schemas", SchemasSettings).contracts_topic
    contract = load_catalog(BUILT_IN_ROOT)["caudal.rejected"]
    publish(own, Released(contract, {1: 7}))
    producer = Producer(client_conf(own))
    for value in (b"garbage", b"{}", b'{"contract": {"id": "x"}, "versions": {}, "wire": {}, "ids": {}}', b"[]"):
        producer.produce(topic, key=b"caudal.rejected", value=value)
    assert producer.flush(20) == 0
    assert feed.read_to_end() == {"caudal.rejected": Released(contract, {1: 7})}


def test_one_refused_contract_leaves_the_others_alone(own: Settings, tmp_path: Path, name: str) -> None:
    """A contract with an error is reported; the next one is applied all the same."""
    bad = load_contract(write(tmp_path, (), id=name, yaml=YAML.replace("tenant: tenant_id", "tenant: happened_at")))
    good = load_contract(write(tmp_path, (), id=f"u{name}"))
    results = apply(own, Catalog({bad.id: bad, good.id: good}))
    assert [(r.contract, r.error is None) for r in results] == [(bad.id, False), (good.id, True)]


def test_an_empty_topic_is_no_contracts(own: Settings, feed: ContractFeed) -> None:
    """Before anything was applied a reader gets nothing, at once, and later what comes."""
    assert feed.read_to_end() == {}
    assert feed.poll(0.1) == []
    contract = load_catalog(BUILT_IN_ROOT)["caudal.rejected"]
    publish(own, Released(contract, {1: 7}))
    wait(lambda: bool(feed.poll(1)) or bool(feed.released))
    assert feed.released["caudal.rejected"].ids == {1: 7}


def test_servers_that_are_away_are_unreachable(own: Settings, tmp_path: Path, name: str) -> None:
    """A dead broker or registry is an error to try again (exit 6), within the deadline."""
    quick: dict[str, Any] = {**own.model_extra["schemas"], "deadline_s": 1.0} if own.model_extra else {}
    catalog = Catalog({name: load_contract(write(tmp_path, (), id=name))})
    for changed in (
        {"kafka": KafkaSettings(bootstrap="127.0.0.1:1")},
        {"registry": RegistrySettings(url="http://127.0.0.1:1")},
    ):
        with pytest.raises(Unreachable) as away:
            apply(own.with_(**changed, schemas=quick), catalog)
        assert (away.value.exit_code, away.value.retryable) == (6, True)


def test_the_watcher_applies_what_is_added(own: Settings, tmp_path: Path, name: str, feed: ContractFeed) -> None:
    """A contract copied into the folder is applied without a restart, beside one that is broken."""
    root = tmp_path / "contracts"
    source = write(tmp_path / "source", (), id=name)
    write(root, (), id="tests.broken", yaml="id: [")
    watched = own.with_(contracts_dir=root)
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(watched, stop))
    thread.start()
    try:
        shutil.copytree(source, root.joinpath(*name.split(".")))
        wait(lambda: (bool(feed.poll(0.5)) and name in feed.released) or name in feed.released)
        (root.joinpath(*name.split(".")) / "v2.avsc").write_text(
            (write(tmp_path / "next", (), (field("size", "int"),), id=name) / "v2.avsc").read_text("utf-8"), "utf-8"
        )
        wait(lambda: bool(feed.poll(0.5)) and len(feed.released[name].ids) == 2)
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()

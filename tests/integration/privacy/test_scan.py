"""The scan of invariant 2: finds every planted value in every kind of store, and nothing where nothing is."""

import base64
import gzip
import json
import uuid
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from deltalake import write_deltalake
from pydantic import SecretStr

from caudal.lake import Lake
from caudal.settings import KafkaSettings, RedisSettings, Settings
from privacy import scan
from privacy.scan_search import Needles
from privacy.scan_values import Secret, patterns
from privacy.seal import Sealer, sealed_values
from privacy.vault import Vault
from tests.support.released import CATALOG

CONTRACT = CATALOG["payments.transaction"]
# Made up; the CPFs have right check digits.
PEOPLE = [
    ("39053344705", "joana.prado@example.com", "+5511912345678", "4539578763621486", "0001-99887766"),
    ("15350946056", "rui.alves@example.org", "+5521998877665", "6011000990139424", "0337-11223344"),
    ("74682489070", "bia@pequena.com.br", "+5571933334444", "5105105105105100", "0042-55667788"),
]


def transaction(number: int, person: tuple[str, ...]) -> dict[str, object]:
    cpf, email, phone, card, account = person
    return {
        "event_id": f"e{number}",
        "tenant_id": "t1",
        "amount": Decimal("1.00"),
        "customer_cpf": cpf,
        "customer_email": email,
        "customer_phone": phone,
        "card_number": card,
        "bank_account": account,
        "device_id": f"device-{number:08d}-{cpf[::-1]}",
        "ip_address": "203.0.113.7",
        "payee_cpf": None,
    }


@pytest.fixture
def install(offline_settings: Settings) -> Settings:
    """An install in which some people were sealed into silver; broker and Redis are away."""
    settings = offline_settings.with_(
        kafka=KafkaSettings(bootstrap="127.0.0.1:1"), redis=RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"))
    )
    vault = Vault.open(settings)
    wires = Sealer(vault, CONTRACT).seal([transaction(i, person) for i, person in enumerate(PEOPLE)])
    vault.close()
    tokens = [
        [(key, part["token"]) for name, value in wire.items() for key, part in sealed_values(name, value)]
        for wire in wires
    ]
    silver = pa.table(
        {
            "event_id": [wire["event_id"] for wire in wires],
            "tenant_id": [wire["tenant_id"] for wire in wires],
            "customer_cpf": [wire["customer_cpf"]["mask"] for wire in wires],
            "subject_ref": [wire["subject_ref"] for wire in wires],
            "_sealed": pa.array(tokens, pa.map_(pa.string(), pa.binary())),
        }
    )
    write_deltalake(Lake.open(settings).table("silver", CONTRACT.table), silver)
    log = settings.data_dir / "logs" / "web.log"
    log.parent.mkdir()
    log.write_text('{"event": "accepted", "masks": ["***.***.***-05"], "at": 1700000000000}\n')
    return settings


def verdict(settings: Settings) -> tuple[bool, str]:
    [check] = scan.checks(settings)
    text = f"{check.detail} {check.findings}"
    for person in PEOPLE:
        for value in person:
            assert value not in text, "the scan must not repeat what it found"
    return check.ok, "\n".join(check.findings)


def test_a_sealed_install_is_clean(install: Settings):
    """With masks and tokens everywhere the invariant holds, things were examined, and absent stores are named."""
    [check] = scan.checks(install)
    assert (check.invariant, check.ok, check.findings) == (2, True, ())
    assert check.examined >= 3
    assert "topics not searched" in check.detail
    assert "redis not searched" in check.detail


def test_an_install_without_people_says_so(offline_settings: Settings):
    """Before anything was sealed nothing was examined."""
    [check] = scan.checks(offline_settings)
    assert (check.ok, check.examined) == (True, 0)
    assert not (offline_settings.data_dir / "vault").exists()


EMAIL, CPF, PHONE = PEOPLE[0][1], PEOPLE[0][0], PEOPLE[1][2]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("logs/streaming.log", f'cpf "{CPF}" refused'.encode()),
        ("logs/streaming.log", b"cpf 390.533.447-05 refused"),
        ("logs/batch.log", b"cpf of a stranger: 529.982.247-25"),
        ("run/metrics/x.json", json.dumps({"label": EMAIL}).encode()),
        ("scratch/spill.bin", b"\x00\x16" + EMAIL.encode() + b"7"),
        ("any/deep/file", base64.b64encode(b'{"email": "' + EMAIL.encode() + b'"}')),
        ("any/hex", b"payload=" + f"tel {PHONE}".encode().hex().encode()),
        ("any/utf16", f"<{EMAIL}>".encode("utf-16-le")),
        ("valkey/dump.rdb", b"\xfa\x05" + PEOPLE[2][3].encode() + b"\xff"),
        ("run/access.jsonl", f"GET /?mail={EMAIL.replace('@', '%40')}".encode()),
        ("lake/raw/events/_delta_log/00000000000000000001.json", f'{{"min": "{EMAIL}"}}'.encode()),
        ("lake/raw/left-over.bin", f"x{EMAIL}x".encode()),
        ("lake/_lineage/events/1.jsonl.gz", gzip.compress(f'{{"name": "{EMAIL}"}}'.encode() * 50)),
    ],
)
def test_a_planted_value_is_found(install: Settings, file: str, content: bytes):
    """A value in any file, in any spelling, breaks the invariant; the finding names the file and not the value."""
    path = install.data_dir / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    ok, findings = verdict(install)
    assert not ok
    assert file.removeprefix("lake/") in findings


@pytest.mark.parametrize("column", [[CPF] * 3, [int(CPF)] * 3, [[EMAIL]] * 3, [{"a": EMAIL.encode()}] * 3])
def test_a_value_inside_a_compressed_column_is_found(install: Settings, column: list[object]):
    """Parquet is decoded: a value in any column, whatever its type and depth, is found."""
    table = pa.table({"n": ["123", "456", "789"], "x": column})
    write_deltalake(Lake.open(install).table("gold", "leak"), table)
    ok, findings = verdict(install)
    assert not ok
    assert "gold/leak" in findings


def test_numbers_around_a_value_are_other_values(install: Settings):
    """Eleven digits of a CPF inside a longer number are no finding: ids and times are full of such."""
    (install.data_dir / "logs" / "web.log").write_text(f"id={CPF}123 offset=7{CPF}")
    assert verdict(install) == (True, "")


def test_a_blind_scan_is_a_failed_scan():
    """When the control is not found in full the verdict is void, so it fails."""
    secrets = [Secret(person[1], "email", "c.f") for person in PEOPLE]
    blind = Needles([pattern for pattern in patterns(secrets) if pattern.spelling != "base64"])
    assert {"control: values planted as base64 were not all found"} == scan.control(blind, secrets)
    assert scan.control(Needles(patterns(secrets)), secrets) == set()


def test_the_budget_is_kept_newest_first(install: Settings):
    """A small budget reads what was written last and says that it was cut."""
    old = install.data_dir / "logs" / "old.log"
    old.write_bytes(EMAIL.encode() + b"x" * 5000)
    [check] = scan.checks(install.with_(privacy={"scan_bytes": 1024}))
    assert "in part" in check.detail


@pytest.mark.kafka
def test_topics_are_searched_except_plaintext_ones(install: Settings, kafka_bootstrap: str):
    """A value in a record's value, key or header is found through the broker; `in.*` topics may hold plaintext."""
    name = f"scan.t{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for made in admin.create_topics([NewTopic(name, 2, 1), NewTopic(f"in.{name}", 1, 1)]).values():
        made.result(20)
    running = install.with_(kafka=KafkaSettings(bootstrap=kafka_bootstrap))
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "compression.type": "lz4"})
    producer.produce(f"in.{name}", EMAIL.encode())
    producer.produce(name, b"\x00\x00\x00\x00\x01nothing", partition=0)
    producer.flush(20)
    ok, findings = verdict(running)
    assert name not in findings
    producer.produce(name, b"v", key=b"k", headers={"h": EMAIL.encode()}, partition=1)
    producer.flush(20)
    ok, findings = verdict(running)
    assert not ok
    assert f"topics: {name}-1" in findings
    admin.delete_topics([name, f"in.{name}"])


def test_redis_is_searched(install: Settings, redis_url: str):
    """A value in a key's name, a packed string, a hash, a list or a set is found."""
    running = install.with_(redis=RedisSettings(url=SecretStr(redis_url)))
    client = redis.Redis.from_url(redis_url)
    key = f"scan-{uuid.uuid4().hex}"
    client.set(key, b"\x00\x01packed")
    [check] = scan.checks(running)
    assert check.ok, check.findings
    for plant in (
        lambda: client.set(f"{key}:{EMAIL}", b""),
        lambda: client.set(key, b"\x01" + EMAIL.encode()),
        lambda: client.hset(f"{key}:h", "f", EMAIL),
        lambda: client.rpush(f"{key}:l", EMAIL),
        lambda: client.sadd(f"{key}:s", EMAIL),
    ):
        plant()
        ok, findings = verdict(running)
        client.delete(*client.keys(f"{key}*"))
        assert not ok
        assert "redis: keys" in findings
    client.close()


def test_lost_tables_leave_the_rest_searchable(install: Settings):
    """A Parquet file that is no Parquet is searched raw and breaks nothing."""
    path = Path(Lake.open(install).uri) / "silver" / "broken.parquet"
    path.write_bytes(b"PAR1 " + EMAIL.encode())
    assert "broken.parquet" in verdict(install)[1]

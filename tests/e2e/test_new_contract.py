"""A ninth contract is added to a running platform: everything that follows from it appears, and no process restarts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from caudal import tokens
from caudal.lake import Lake
from caudal.query import Query
from privacy.masks import mask
from producers.encode import compile_encoder
from producers.publish import Publisher
from quality import results
from schemas.manifest import load_current
from schemas.topics import client_conf
from tests.support.install import Install

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.kafka, pytest.mark.timeout(600)]

SIGNUP, TABLE, TENANT = "acme.signup", "acme_signup", "acme"
NOON = 1_767_268_800_000
GOOD, TWICE, BROKEN = 20, 4, 2


def event(number: int) -> dict[str, object]:
    """A sign-up as the scaffold describes one."""
    return {
        "event_id": f"s{number}",
        "tenant_id": TENANT,
        "signup_id": f"{number}",
        "amount": Decimal(number),
        "customer_email": f"person{number}@example.com",
        "occurred_at": NOON + number,
    }


@pytest.fixture(scope="module")
def pids(platform: Install) -> Iterator[dict[str, int]]:
    """The processes before anything happened; they must be the same ones at the end."""
    before = {name: platform.child(name)["pid"] for name in ("kafka", "registry", "streaming", "batch", "web")}
    yield before
    assert before == {name: platform.child(name)["pid"] for name in before}


def query(install: Install, *tables: tuple[str, str]) -> Query:
    """Tables of the lake under their own names."""
    opened = Query(Lake.open(install.settings))
    for layer, name in tables:
        opened.table(name, layer, name)
    return opened


def ledger(install: Install) -> dict[str, int]:
    """What became of the contract's records."""
    sums = ", ".join(f"coalesce(sum({n}), 0) AS {n}" for n in ("read", "applied", "duplicate", "dead_letter"))
    [row] = query(install, ("ops", "ledger")).rows(f"SELECT {sums} FROM ledger WHERE contract = '{SIGNUP}'")
    return {name: int(n) for name, n in row.items()}


def topics(install: Install) -> set[str]:
    """Names of all topics."""
    from confluent_kafka.admin import AdminClient

    return set(AdminClient(client_conf(install.settings)).list_topics(timeout=10).topics)


def test_an_apply_makes_topic_table_and_models(platform: Install, pids: dict[str, int]) -> None:
    """`new` makes a draft; from `apply` topic, registry subject, silver table, dbt source and staging follow."""
    code, made = platform.verb("contract", "new", SIGNUP)
    assert code == 0
    assert made["contract"] == SIGNUP
    assert SIGNUP not in topics(platform)
    code, _ = platform.verb("contract", "apply", SIGNUP)
    assert code == 0
    platform.until(lambda: SIGNUP in topics(platform), "the topic", timeout=60)
    schema = httpx2.get(f"{platform.settings.registry.url}/subjects/{SIGNUP}-value/versions/latest").json()
    assert "subject_ref" in {field["name"] for field in json.loads(schema["schema"])["fields"]}

    lake = Lake.open(platform.settings)
    platform.until(lambda: lake.has_table("silver", TABLE), "the silver table", timeout=90)
    staging = platform.data / "dbt" / "models" / "staging"
    platform.until(lambda: (staging / f"stg_{TABLE}.sql").exists(), "the staging model", timeout=90)
    sources = yaml.safe_load((staging / "_sources.yml").read_text(encoding="utf-8"))["sources"]
    [pinned] = [source for source in sources if source["name"] == "pinned"]
    [source] = [table for table in pinned["tables"] if table["name"] == TABLE]
    assert source["config"]["meta"]["contract"] == SIGNUP


def test_its_events_reach_silver_masked_and_judged(platform: Install, pids: dict[str, int]) -> None:
    """Good events arrive once and masked, by SDK and by HTTP; copies and what breaks a rule are told apart."""
    with Publisher(platform.settings, source="tests") as publisher:
        made = [publisher.prepare(SIGNUP, event(number), observed_at=NOON + number) for number in range(GOOD)]
        released = publisher.contracts.get(SIGNUP)
        encode = compile_encoder(released.contract.latest.wire, released.ids[1])
        # The SDK refuses a broken rule itself, so these two are spoiled behind its back.
        spoiled = [
            replace(one, event_id=f"bad{i}", value=encode({**one.wire, "event_id": f"bad{i}", "amount": Decimal(-1)}))
            for i, one in enumerate(made[:BROKEN])
        ]
        for one in (*made, *made[:TWICE], *spoiled):
            publisher.produce(one)
        publisher.flush()
    pushed = push(platform, event(GOOD))
    assert pushed.status_code == 200, pushed.text

    expected = {
        "read": GOOD + 1 + TWICE + BROKEN,
        "applied": GOOD + 1,
        "duplicate": TWICE,
        "dead_letter": BROKEN,
    }
    platform.until(lambda: ledger(platform) == expected, "the ledger of the new contract", timeout=120)
    opened = query(platform, ("silver", TABLE), ("quarantine", "dead_letters"))
    rows = opened.rows(f"SELECT event_id, customer_email, amount, subject_ref, _sealed FROM {TABLE}")
    assert {f"s{number}" for number in range(GOOD + 1)} == {row["event_id"] for row in rows}
    assert {mask("email", str(event(number)["customer_email"])) for number in range(GOOD + 1)} == {
        row["customer_email"] for row in rows
    }
    assert all(row["subject_ref"] and row["_sealed"] for row in rows)
    codes = opened.rows(f"SELECT code FROM dead_letters WHERE contract = '{SIGNUP}'")
    assert Counter(row["code"] for row in codes) == {"CDL-RULE-NEG_AMOUNT": BROKEN}


def test_its_checks_run_and_gold_is_not_touched(platform: Install, pids: dict[str, int]) -> None:
    """The gate judges the new table by the contract's own rules; no mart has got a row or another column by it."""
    lake = Lake.open(platform.settings)
    platform.until(
        lambda: bool(checked(lake)) and load_current(lake) is not None, "the checks and a publish", timeout=400
    )
    found = {result["code"]: result["ok"] for result in checked(lake)}
    assert found == {
        "ROWS": True,
        "NOT_NULL:tenant_id": True,
        "NOT_NULL:event_id": True,
        "NOT_NULL:occurred_at": True,
        "RULE:NEG_AMOUNT": True,
        "MASK:customer_email": True,
    }
    manifest = load_current(lake)
    assert manifest is not None
    assert all(TENANT not in mart for mart in manifest.tables)
    # Those of operations tell of every contract, for operators.
    assert [
        mart
        for mart, table in manifest.tables.items()
        if not mart.startswith("ops_") and tenants(lake, f"{lake.uri}/{table.path}", table.version) & {TENANT}
    ] == []


def checked(lake: Lake) -> list[dict[str, Any]]:
    """The latest results of the new silver table."""
    documents = [results.latest(lake, group) for group in ("live", "full")]
    return [
        r for found in documents if found for r in found["results"] if (r["layer"], r["table"]) == ("silver", TABLE)
    ]


def tenants(lake: Lake, path: str, version: int) -> set[str]:
    """Whose rows a published mart holds."""
    opened = Query(lake)
    opened.at("mart", path, version)
    return {row["tenant_id"] for row in opened.rows("SELECT DISTINCT tenant_id FROM mart")}


def push(install: Install, body: dict[str, object]) -> httpx2.Response:
    """One event by HTTP, with a token of the tenant for this contract."""
    store = tokens.open_store(install.data)
    token = store.issue("ingest", TENANT, (SIGNUP,))
    store.close()
    web = install.settings.web
    return httpx2.post(
        f"http://{web.host}:{web.port}/v1/events/{SIGNUP}",
        headers={"Authorization": f"Bearer {token}", "Caudal-Observed-At": str(body["occurred_at"])},
        json={**body, "amount": str(body["amount"])},
        timeout=30,
    )


def test_its_dead_letters_heal_and_silver_is_made_anew(platform: Install, pids: dict[str, int], tmp_path: Path) -> None:
    """A stricter rule is planned on its real records; fixed letters are applied; a rebuild of the table is the same."""
    stricter = tmp_path / "contracts"
    shutil.copytree(platform.settings.contracts_dir, stricter)
    [file] = stricter.glob("acme/signup/contract.yml")
    file.write_text(file.read_text(encoding="utf-8").replace("amount >= 0", "amount >= 5"), encoding="utf-8")
    code, planned = platform.verb("plan", SIGNUP, "--contracts", str(stricter))
    assert code == 10
    effect = planned["effect"]
    assert (effect["records"], effect["refused_now"]) == (GOOD + 1 + TWICE + BROKEN, BROKEN)
    assert [(one["now"], one["records"]) for one in effect["changes"]] == [(None, 5 + TWICE)]

    fixes = tmp_path / "fixes.yml"
    fixes.write_text("- set: amount\n  value: '1.00'\n", encoding="utf-8")
    chosen = ("deadletters", "replay", "--contract", SIGNUP, "--code", "CDL-RULE-NEG_AMOUNT", "--fix", str(fixes))
    code, tried = platform.verb(*chosen, "--dry-run")
    assert (code, tried["applied"], ledger(platform)["applied"]) == (0, BROKEN, GOOD + 1)
    code, healed = platform.verb(*chosen)
    assert (code, healed["applied"], healed["refused"]) == (0, BROKEN, 0)
    wanted = {"applied": GOOD + 1 + BROKEN, "dead_letter": 0}
    platform.until(lambda: wanted.items() <= ledger(platform).items(), "the healed records in the ledger", timeout=60)
    [group] = platform.verb("deadletters", "list", "--contract", SIGNUP)[1]["groups"]
    assert (group["open"], group["resolved"]) == (0, BROKEN)

    def content() -> list[dict[str, Any]]:
        columns = "event_id, amount, customer_email, subject_ref, _offset"
        return query(platform, ("silver", TABLE)).rows(f"SELECT {columns} FROM {TABLE} ORDER BY event_id")

    before = content()
    code, rebuilt = platform.verb("rebuild", "silver", SIGNUP)
    assert (code, set(rebuilt["changes"].values())) == (0, {0})
    assert (len(before), content()) == (GOOD + 1 + BROKEN, before)
    assert not Lake.open(platform.settings).has_table("silver", f"{TABLE}__rebuild")

    code, verdict = platform.verb("verify", "--invariant=1", "--deep")
    [deep] = [part for part in verdict["checks"][0]["parts"] if part["name"] == "conservation, deep"]
    assert (code, deep["ok"], deep["findings"]) == (0, True, [])
    assert deep["examined"] >= GOOD + 1 + BROKEN

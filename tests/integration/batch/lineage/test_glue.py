"""Silver and gold in AWS Glue, against moto's server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from batch.lineage import catalogue, glue
from batch.lineage.errors import NameTaken
from caudal.cli.catalogue import app
from caudal.errors import TransientError
from caudal.lake import Lake, LocalLake
from caudal.settings import LakeSettings
from tests.support import gold_lake
from tests.support.lineage_lake import NOW_MS, graph

KEYS = LakeSettings.model_validate({"s3_access_key": "test", "s3_secret_key": "test"})
REGION = "sa-east-1"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer("127.0.0.1", 0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def client(server: str) -> Iterator[Any]:
    made = glue.client(KEYS, server, REGION)
    yield made
    for database in made.get_databases()["DatabaseList"]:
        made.delete_database(Name=database["Name"])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = LocalLake(str(tmp_path / "lake"))
    gold_lake.publish_live(made)
    gold_lake.write(made, "silver", "fraud_label", gold_lake.SCHEMAS["dim_customers"], [])
    # A mart that was built and never passed its gate.
    gold_lake.write(made, "gold", "dim_customers", gold_lake.SCHEMAS["dim_customers"], [])
    return made


def registered(client: Any, lake: Lake) -> dict[str, str]:
    """Register, and what was done by table."""
    entries = glue.entries(catalogue.build(lake, graph(), NOW_MS), lake.uri, "caudal")
    return {f"{o.database}.{o.table}": o.done for o in glue.register(client, entries, lake.uri, "caudal")}


def test_a_second_time_changes_nothing(client: Any, lake: Lake) -> None:
    """Tables are created once, left alone while they are as they should be, and follow what is published."""
    first = registered(client, lake)
    assert set(first.values()) == {"created"}
    assert {"caudal_gold.fct_orders", "caudal_silver.fraud_label"} <= set(first)
    assert "caudal_gold.dim_customers" not in first
    assert set(registered(client, lake).values()) == {"unchanged"}
    gold_lake.publish_live(lake)
    again = registered(client, lake)
    assert again["caudal_gold.fct_orders"] == "updated"
    assert again["caudal_silver.fraud_label"] == "unchanged"
    found = client.get_table(DatabaseName="caudal_gold", Name="fct_orders")["Table"]
    assert found["Parameters"]["caudal.published_version"] == "1"
    assert found["Parameters"]["table_type"] == "DELTA"
    assert found["StorageDescriptor"]["Location"] == lake.table("gold", "fct_orders")
    columns = {one["Name"]: one["Type"] for one in found["StorageDescriptor"]["Columns"]}
    assert columns["total"] == "decimal(18,2)"


def test_only_what_is_ours_goes(client: Any, lake: Lake, tmp_path: Path) -> None:
    """A table that the lake lost is dropped; tables of others, and those of another lake, are never touched."""
    registered(client, lake)
    client.create_table(DatabaseName="caudal_gold", TableInput={"Name": "theirs", "Parameters": {}})
    other = LocalLake(str(tmp_path / "other"))
    gold_lake.write(other, "silver", "fraud_decision", gold_lake.SCHEMAS["dim_customers"], [])
    assert registered(client, other) == {"caudal_silver.fraud_decision": "created"}
    shutil.rmtree(Path(lake.table("silver", "fraud_label")))
    assert registered(client, lake)["caudal_silver.fraud_label"] == "dropped"
    for database, left in (("caudal_gold", "theirs"), ("caudal_silver", "fraud_decision")):
        assert client.get_table(DatabaseName=database, Name=left)


def test_the_verb_registers_and_says_whose_tables_stand_in_the_way(
    client: Any, server: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb does all it can, and then names what it left alone."""
    monkeypatch.setenv("CAUDAL_LAKE__S3_ACCESS_KEY", "test")
    monkeypatch.setenv("CAUDAL_LAKE__S3_SECRET_KEY", "test")
    data = str(Path(lake.uri).parent)
    verb = ["register", "--glue", "--endpoint", server, "--region", REGION, "--data", data, "-o", "json"]
    done = CliRunner().invoke(app, verb, catch_exceptions=False)
    rows = json.loads(done.stdout.splitlines()[0])["tables"]
    assert done.exit_code == 0
    assert {"database": "caudal_gold", "table": "fct_orders", "done": "created"} in rows
    client.update_table(DatabaseName="caudal_gold", TableInput={"Name": "fct_orders", "Parameters": {}})
    with pytest.raises(NameTaken) as refused:
        CliRunner().invoke(app, verb, catch_exceptions=False)
    assert refused.value.where == "caudal_gold.fct_orders"
    assert client.get_table(DatabaseName="caudal_gold", Name="fct_orders")["Table"].get("Parameters", {}) == {}


def test_glue_that_is_away_is_an_error_to_try_again(lake: Lake) -> None:
    """Nobody there: a transient error with AWS's own word for it."""
    nowhere = glue.client(KEYS, "http://127.0.0.1:1", REGION)
    with pytest.raises(TransientError, match="Glue did not do it") as away:
        glue.register(nowhere, (), lake.uri, "caudal")
    assert away.value.why == "EndpointConnectionError"

"""`caudal warehouse` as its users call it."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from caudal.cli.main import app as caudal
from caudal.errors import CaudalError, Exit
from caudal.settings import Settings
from tests.support.warehouse import ORDERS, Gold, order


@pytest.fixture
def verb(settings: Settings, publisher: psycopg.Connection) -> Any:
    """Runs a verb on this install; gives its exit code and its answer."""
    where = publisher.info
    env = {
        "CAUDAL_DATA_DIR": str(settings.data_dir),
        "CAUDAL_SERVING__WAREHOUSE__URL": f"postgresql://{where.user}:secret@{where.host}:{where.port}/{where.dbname}",
    }

    def run(*words: str, **more: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(caudal, ["warehouse", *words, "-o", "json"], env={**env, **more})
        if isinstance(done.exception, CaudalError):
            return int(done.exception.exit_code), done.exception.facts()
        return done.exit_code, json.loads(done.stdout)

    return run


def test_publish_login_status_verify(verb: Any, gold: Gold, publisher: psycopg.Connection) -> None:
    """From the first publish to a tenant's own rows, with the project's own YAML."""
    gold.write("fct_orders", ORDERS, [order("north", 1), order("south", 2)])
    gold.publish("fct_orders")
    assert verb("status") == (
        Exit.PENDING,
        {"schema_version": 1, "ok": True, "published": 1, "shown": 0, "marts": [], "behind": True},
    )
    assert verb("verify")[0] == Exit.INVARIANT
    code, answer = verb("publish")
    assert (code, [c["how"] for c in answer["copied"]]) == (0, ["whole"])
    code, answer = verb("login", "add", "bi_north", "--tenant", "north")
    assert (code, answer["login"], answer["masks"]) == (0, "bi_north", False)
    where = {"host": answer["host"], "port": answer["port"], "dbname": answer["database"]}
    with psycopg.connect(user="bi_north", password=answer["password"], **where) as link:
        # a login finds marts by their bare name
        assert link.execute("SELECT tenant_id, order_id FROM fct_orders").fetchall() == [("north", "1")]
    code, answer = verb("login", "list")
    assert [(one["name"], one["tenant"]) for one in answer["logins"]] == [("bi_north", "north")]
    assert "password" not in json.dumps(answer)
    code, answer = verb("status")
    assert (code, answer["behind"], answer["marts"][0]["rows"]) == (0, False, 2)
    code, answer = verb("verify")
    assert (code, [c["ok"] for c in answer["checks"]]) == (0, [True, True])
    publisher.execute("UPDATE gold.fct_orders SET items = items + 1 WHERE tenant_id = 'south'")
    assert verb("verify")[0] == Exit.INVARIANT
    assert verb("login", "remove", "bi_north")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("login", "add", "Bi-North", "--tenant", "t"), "CDL-WAREHOUSE-LOGIN", Exit.USAGE),
        (("login", "add", "bi_north"), "CDL-USAGE", Exit.USAGE),
        (("login", "add", "bi_north", "--tenant", "t", "--operator"), "CDL-USAGE", Exit.USAGE),
        (("login", "remove", "postgres"), "CDL-WAREHOUSE-LOGIN", Exit.USAGE),
    ],
)
def test_what_does_not_fit_is_refused(verb: Any, words: tuple[str, ...], code: str, exit_code: int) -> None:
    """Names, missing rights, and roles that were not made here."""
    found = verb(*words)
    assert (found[0], found[1]["code"]) == (exit_code, code)


def test_a_name_that_exists_is_refused(verb: Any, publisher: psycopg.Connection) -> None:
    """A role of somebody else is never taken over."""
    found = verb("login", "add", publisher.info.user, "--operator")
    assert (found[0], found[1]["code"]) == (Exit.USAGE, "CDL-WAREHOUSE-LOGIN")


def test_without_a_server(verb: Any) -> None:
    """No address is a matter of configuration; a server that is away is worth another try."""
    assert verb("status", CAUDAL_SERVING__WAREHOUSE__URL="")[1]["code"] == "CDL-WAREHOUSE-OFF"
    code, facts = verb("publish", CAUDAL_SERVING__WAREHOUSE__URL="postgresql://nobody:hunter2@127.0.0.1:1/none")
    assert (code, facts["code"], facts["retryable"]) == (Exit.UNREACHABLE, "CDL-WAREHOUSE-AWAY", True)
    assert "hunter2" not in json.dumps(facts)

"""For each invariant one breach of a real install that makes `caudal verify` fail and name it; then it is mended.

The install is that of the demo. Stores that processes hold are broken while they run, the lake when all is stopped.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from redis import Redis

from caudal.cli.proofs import INVARIANTS
from caudal.lake import Lake
from caudal.local.ports import is_free
from privacy.scan_values import Secret, sample
from privacy.vault import Vault
from schemas.load import load_catalog
from serving.features.store import Store, state_key
from tests.e2e.conftest import Delivered
from tests.support import tamper
from tests.support.install import Install

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.kafka, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
# Everything has arrived before the first breach, so nothing is worth waiting for.
HASTY = {"CAUDAL_SERVING__VERIFY_WAIT_S": "5"}
PAYMENT = "payments.transaction"


@pytest.fixture(scope="module")
def install(delivered: Delivered) -> Iterator[Install]:
    """The folder of a finished demo, its stores and its web process up again; nobody streams."""
    assert delivered.done.returncode == 0, "the demo that this breaks did not deliver"
    running = Install(delivered.data, HASTY).start("up", "--stages", "web")
    try:
        running.until(lambda: running.ready("web"), "the web process", timeout=120)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def stopped(install: Install) -> Install:
    """The same install with no process left: nobody writes to the lake."""
    install.stop()
    return install


def broken(install: Install, invariant: int) -> str:
    """What verify finds; it must fail, name this invariant and nothing else."""
    code, verdict = install.verb("verify", "--invariant", str(invariant))
    [check] = verdict["checks"]
    assert (code, verdict["ok"]) == (7, False)
    assert (check["invariant"], check["name"], check["ok"]) == (invariant, INVARIANTS[invariant], False)
    return json.dumps([part["findings"] for part in check["parts"]])


def holds(install: Install, *invariants: int) -> None:
    """Verify finds nothing at all, and has looked at something for each."""
    code, verdict = install.verb("verify", *(f"--invariant={number}" for number in invariants))
    assert [check for check in verdict["checks"] if not check["ok"]] == []
    assert code == 0
    assert list(invariants) == [check["invariant"] for check in verdict["checks"] if check["examined"] > 0]


def people(install: Install) -> list[Secret]:
    """Personal values of live people, opened as verify opens them."""
    vault = Vault.open(install.settings)
    try:
        return sample(Lake.open(install.settings), vault, [load_catalog(install.settings.contracts_dir)[PAYMENT]], 50)
    finally:
        vault.close()


# ---- while it runs


def test_personal_values_in_a_log_break_2(install: Install) -> None:
    """A real person's CPF and e-mail in one log line; verify names the file and repeats neither."""
    secrets = people(install)
    cpf = next(secret.value for secret in secrets if secret.cls == "cpf")
    email = next(secret.value for secret in secrets if secret.cls == "email")
    digits = "".join(character for character in cpf if character.isdigit())
    formatted = f"{digits[:3]}.{digits[3:6]}.{digits[6:9]}-{digits[9:]}"
    with tamper.planted(install.data / "logs" / "planted.log", f'level=info who="{formatted}" mail={email}'):
        found = broken(install, 2)
    assert "planted.log" in found
    # A person has several fields with the same value; any of them may be named.
    assert "_cpf (" in found
    assert "_email (" in found
    assert not [value for value in (cpf, digits, formatted, email) if value in found]


def test_a_flipped_bit_in_the_store_breaks_4(install: Install) -> None:
    """One bit of one amount of one customer."""
    url = install.settings.redis.url.get_secret_value()
    store, client = Store(url), Redis.from_url(url)
    try:
        tenant, entity, ref = next(state for state in store.states() if state[1] == "customer")
        with tamper.flipped(client, state_key(tenant, entity, ref), -1):
            found = broken(install, 4)
    finally:
        client.close()
        store.close()
    assert ref[:12] in found


def test_a_web_process_without_the_tenants_predicate_breaks_6(install: Install) -> None:
    """A process of our own routes that forgets whose rows they are."""
    with leaky(install) as behind:
        found = broken(behind, 6)
    assert "rows that are not the token's" in found


def test_everything_holds_again_while_it_runs(install: Install) -> None:
    """What was broken is mended, and the seven invariants are proved on the running install."""
    holds(install, 1, 2, 3, 4, 5, 6, 7)


# ---- when it is stopped


def lost(lake: Lake) -> AbstractContextManager[object]:
    """Raw without one of its rows."""
    return tamper.replaced(Path(lake.table("raw", "events")), lambda rows: rows.slice(1))


def untested(lake: Lake) -> AbstractContextManager[object]:
    """Readers see a version that never passed a gate."""
    return tamper.exposed(lake, "fct_orders")


def altered(lake: Lake) -> AbstractContextManager[object]:
    """Decisions that say another score than was decided."""

    def raised(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index("score")
        return rows.set_column(place, rows.schema.field(place), pc.add(rows["score"], 0.001))

    return tamper.replaced(Path(lake.table("silver", "fraud_decision")), raised)


def doubled(lake: Lake) -> AbstractContextManager[object]:
    """A product event that is in silver once more."""
    return tamper.added(Path(lake.table("silver", "product_event")), lambda rows: rows.slice(0, 1))


@pytest.mark.parametrize(
    ("invariant", "breach", "says"),
    [
        (1, lost, "in the ledger"),
        (3, untested, "fct_orders"),
        (5, altered, "score differs"),
        (7, doubled, "product.event: 1 event ids are in silver more than once"),
    ],
)
def test_a_breach_of_the_lake_is_named(
    stopped: Install, invariant: int, breach: Callable[[Lake], AbstractContextManager[object]], says: str
) -> None:
    """A raw row lost, gold that was never tested, a decision altered, a silver row doubled."""
    with breach(Lake.open(stopped.settings)):
        assert says in broken(stopped, invariant)


def test_the_lake_holds_again(stopped: Install) -> None:
    """Mended, the stopped install proves what needs no server."""
    holds(stopped, 1, 2, 3, 5, 7)


@contextmanager
def leaky(install: Install) -> Iterator[Install]:
    """A second web process on the same folder, with a leak; verbs of the install that is given meet it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "CAUDAL_DATA_DIR": str(install.data), "CAUDAL_WEB__PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from tests.support.tamper import leaky_web; leaky_web()"], cwd=ROOT, env=env
    )
    try:
        install.until(lambda: process.poll() is not None or not is_free(port), "the leaky web process", timeout=60)
        yield Install(install.data, {**HASTY, "CAUDAL_WEB__PORT": str(port)})
    finally:
        process.terminate()
        process.wait(30)

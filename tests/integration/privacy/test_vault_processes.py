"""The vault under several processes at once, and under a kill in the middle of its work."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

from caudal.settings import Settings
from privacy import store
from privacy.vault import Need, Vault, index

# Admits the same people in its own order and prints {identifier: ref}; with `die` it kills itself on the way.
WORKER = """
import json, os, random, signal, sys
from pathlib import Path
from caudal.settings import Settings
from privacy.vault import Need, Vault, index

folder, seed, die = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "die"
vault = Vault.open(Settings(data_dir=folder))
people = [(f"cpf{n}", f"mail{n}") for n in range(60)]
random.Random(seed).shuffle(people)
for start in range(0, 60, 4):
    needs = []
    for cpf, mail in people[start:start + 4]:
        idx = [index(vault.index_key("t"), "customer", "id", text) for text in (cpf, mail)]
        # Some events name one identifier, some both: refs must still come together.
        needs += [Need("t", "customer", tuple(idx[:1]), groups=("identity",)), Need("t", "customer", tuple(idx[1:]))]
        needs.append(Need("t", "customer", tuple(idx)))
    vault.admit(needs)
    if die and start == 32:
        os.kill(os.getpid(), signal.SIGKILL)
print(json.dumps({text: vault.lookup("t", "customer", "id", text) for pair in people for text in pair}))
"""


def start(folder: Path, seed: int, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), str(seed), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."})


def test_processes_agree_on_who_is_who(tmp_path: Path):
    """Three processes that meet the same people at once, one of them killed, end with one ref per person."""
    workers = [start(tmp_path, seed, how) for seed, how in ((1, "live"), (2, "live"), (3, "die"))]
    told = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, -signal.SIGKILL]
    vault = Vault.open(Settings(data_dir=tmp_path))
    final = {text: vault.lookup("t", "customer", "id", text) for n in range(60) for text in (f"cpf{n}", f"mail{n}")}
    assert all(final[f"cpf{n}"] == final[f"mail{n}"] for n in range(60))
    assert len(set(final.values())) == 60
    assert set(json.loads(told[0])) == set(json.loads(told[1])) == set(final)
    # Everybody has a key that opens: nothing was half written.
    for n in range(60):
        idx = index(vault.index_key("t"), "customer", "id", f"cpf{n}")
        assert vault.admit([Need("t", "customer", (idx,), groups=("identity",))])[0].keys
    vault.close()


def open_at_once(path: Path, gate: Barrier) -> None:
    gate.wait()
    store.connect(path, 5.0).close()


def test_a_new_vault_may_be_opened_by_many_at_once(tmp_path: Path):
    """The switch of a new file to its write-ahead log is not waited for by SQLite itself."""
    fork = multiprocessing.get_context("fork")
    for n in range(10):
        gate = fork.Barrier(6)
        openers = [fork.Process(target=open_at_once, args=(tmp_path / f"{n}.db", gate)) for _ in range(6)]
        for opener in openers:
            opener.start()
        for opener in openers:
            opener.join(30)
        assert [opener.exitcode for opener in openers] == [0] * 6

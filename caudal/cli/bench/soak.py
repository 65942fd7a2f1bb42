"""`caudal bench soak`: a steady load for long, with faults, new versions and table care, and what has grown meanwhile.

Each third of the run plays the same programme and is calm from then on; the calm parts of the first and the last third
are compared. The streaming process is killed in the first third only: it must then live through the other two.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from caudal.cli.bench import measure, soak_judge, soak_look
from caudal.cli.bench.soak_judge import Sample
from caudal.cli.bench.soak_play import Play
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.local.child import signal_group
from caudal.local.supervisor import Supervisor
from caudal.settings import Settings
from schemas import apply, scaffold
from schemas.distribution import ContractFeed, Released
from schemas.load import load_catalog
from streaming.settings import StreamingSettings
from streaming.verify import checks

Say = Callable[[str], None]
CONTRACTS = Path(__file__).parent / "contracts" / "soak"
READING, DEVICE = "soak.reading", "soak.device"
_TICK_S = 1.0


@dataclass(frozen=True)
class Plan:
    """Events/s of both contracts together, seconds of the run, seconds between samples, seed of the records."""

    rate: int
    seconds: float
    sample_s: float
    seed: int


@dataclass(frozen=True)
class Turn:
    """Something that happens `at` seconds after the start."""

    at: float
    what: str


def programme(seconds: float) -> list[Turn]:
    """What happens when. The registry is away right after a release, when a new id is met."""
    third = seconds / 3
    turns = [Turn(0.02 * third, "streaming killed")]
    for begin in (0, third, 2 * third):
        turns += [
            Turn(begin + 0.25 * third, "broker killed"),
            Turn(begin + 0.40 * third, "release"),
            Turn(begin + 0.41 * third, "registry away"),
            Turn(begin + 0.48 * third, "registry back"),
            Turn(begin + 0.90 * third, "release"),
        ]
    return sorted(turns, key=lambda turn: turn.at)


def run(supervisor: Supervisor, plan: Plan, say: Say) -> dict[str, Any]:
    """Play the programme on a running broker, registry and streaming process; what was seen and what is proved."""
    soak = _Soak(supervisor, plan, say)
    try:
        return soak.run()
    finally:
        soak.close()


class _Soak:
    """One run."""

    def __init__(self, supervisor: Supervisor, plan: Plan, say: Say) -> None:
        self._supervisor, self._plan, self._say = supervisor, plan, say
        self._settings = supervisor.settings
        self._lake = Lake.open(self._settings)
        self._play = Play(self._settings, _released(self._settings), plan.rate, plan.seed)
        self._samples: list[Sample] = []
        self._done: list[dict[str, Any]] = []
        self._paused = self._unreleased = False

    def run(self) -> dict[str, Any]:
        self._warm()
        began, began_ms = time.monotonic(), int(time.time() * 1000)
        self._play.start()
        turns, sampled = programme(self._plan.seconds), 0.0
        while (now := time.monotonic() - began) < self._plan.seconds and self._supervisor.running():
            if turns and turns[0].at <= now:
                turn = turns.pop(0)
                self._do(turn, now)
                if turn.what == "registry away":
                    # However late it went, it stays away for as long as it should.
                    turns[0] = replace(turns[0], at=now + turns[0].at - turn.at)
            if self._unreleased:
                self._apply()
            if now - sampled >= self._plan.sample_s:
                sampled = now
                self._sample(now)
            self._supervisor.wait(_TICK_S)
        lost = self._play.stop()
        settled_s = self._settle()
        return self._answer(lost, settled_s, self._with_ages(began_ms))

    def close(self) -> None:
        if self._paused:
            self._signal("registry", signal.SIGCONT)

    # ---- the programme

    def _do(self, turn: Turn, now: float) -> None:
        self._say(f"soak: {now:.0f} s: {turn.what}")
        self._done.append({"at_s": round(now, 1), "what": turn.what})
        if turn.what == "release":
            self._write_version()
        elif turn.what == "registry away":
            self._signal("registry", signal.SIGSTOP)
            self._paused = True
        elif turn.what == "registry back":
            self._signal("registry", signal.SIGCONT)
            self._paused = False
        else:
            self._supervisor.kill({"streaming killed": "streaming", "broker killed": "kafka"}[turn.what])

    def _write_version(self) -> None:
        """A version with one more field of each contract, to be applied."""
        for folder in (self._settings.contracts_dir / name.replace(".", "/") for name in (READING, DEVICE)):
            newest = max(
                (path for path in folder.glob("v*.avsc") if "wire" not in path.name), key=lambda p: int(p.stem[1:])
            )
            schema, number = json.loads(newest.read_text(encoding="utf-8")), int(newest.stem[1:]) + 1
            schema["fields"].append({"name": f"added_in_v{number}", "type": ["null", "string"], "default": None})
            (folder / f"v{number}.avsc").write_text(json.dumps(schema), encoding="utf-8")
        for contract in load_catalog(self._settings.contracts_dir).values():
            scaffold.write_wire(contract)
        self._unreleased = True

    def _apply(self) -> None:
        """What `caudal contract apply` does; while broker or registry are away it is tried again."""
        try:
            self._play.use(_released(self._settings))
            self._unreleased = False
        except TransientError as error:
            self._say(f"soak: not released yet: {error.what}")

    def _signal(self, name: str, number: signal.Signals) -> None:
        [pid] = [state.pid for state in self._supervisor.states() if state.name == name]
        signal_group(pid, number)

    # ---- looking

    def _sample(self, now: float) -> None:
        memory = self._supervisor.memory.now.get("streaming", 0.0)
        tables = soak_look.tables(self._lake)
        logs = [soak_look.log_files(table) for table in tables]
        found = Sample(
            round(now, 1),
            round(memory, 1),
            max((soak_look.live_files(table) for table in tables), default=0),
            sum(files for files, _ in logs),
            max((tail for _, tail in logs), default=0),
            self._play.sent,
        )
        self._samples.append(found)
        self._say(
            f"soak: {now:.0f} s, {found.sent:,} sent, driver {found.memory_mib:.0f} MiB, {found.live_files} files, "
            f"{found.log_files} log files, {found.log_tail} behind a checkpoint"
        )

    def _with_ages(self, began_ms: int) -> list[Sample]:
        """The samples with the age of what was published in the window that each ends."""
        found = measure.ages(self._lake, [name.replace(".", "_") for name in (READING, DEVICE)], began_ms)
        ends = [0.0, *(sample.at_s for sample in self._samples)]
        return [
            replace(sample, age_p95_s=soak_look.p95(found, began_ms + low * 1000, began_ms + sample.at_s * 1000))
            for low, sample in zip(ends[:-1], self._samples, strict=True)
        ]

    # ---- the end

    def _warm(self) -> None:
        """Until streaming has told that it works."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self._supervisor.running():
            if any(s.name == "streaming" and s.state == "ready" for s in self._supervisor.states()):
                return
            self._supervisor.wait(0.5)

    def _settle(self, patience_s: float = 600) -> float:
        """Wait until the ledger accounts for everything that was sent; seconds it took."""
        began = time.monotonic()
        while time.monotonic() - began < patience_s and self._supervisor.running():
            if soak_look.read(self._lake) >= self._play.sent:
                break
            self._supervisor.wait(0.5)
        return round(time.monotonic() - began, 1)

    def _answer(self, lost: int, settled_s: float, samples: Sequence[Sample]) -> dict[str, Any]:
        found = checks(self._settings)
        files = self._settings.section("streaming", StreamingSettings).care_files
        verdicts = soak_judge.judged(samples, self._plan.seconds, files)
        read = soak_look.read(self._lake)
        complete = lost == 0 and read == self._play.sent
        return {
            "ok": complete and all(check.ok for check in found) and all(verdict.ok for verdict in verdicts),
            "sent": self._play.sent,
            "read": read,
            "not_taken_by_broker": lost,
            "settled_s": settled_s,
            "checks": [check.record() for check in found],
            "bounds": [asdict(verdict) for verdict in verdicts],
            "restarts": {state.name: state.restarts for state in self._supervisor.states()},
            "programme": self._done,
            "samples": soak_judge.plain(samples),
            "plan": asdict(self._plan),
            "command": f"caudal bench soak --minutes {self._plan.seconds / 60:g} --rate {self._plan.rate} "
            f"--seed {self._plan.seed} -o json",
            "machine": {"cores": os.cpu_count(), "load": [round(one, 2) for one in os.getloadavg()]},
        }


def contracts_in(folder: Path) -> Path:
    """A copy of the soak's contracts, to which versions are added."""
    shutil.copytree(CONTRACTS, folder)
    return folder


def _released(settings: Settings) -> dict[str, Released]:
    catalog = load_catalog(settings.contracts_dir)
    refused = apply.first_error(apply.apply(settings, catalog, [READING, DEVICE]))
    if refused is not None:
        raise refused
    feed = ContractFeed(settings)
    try:
        return {name: one for name, one in feed.read_to_end().items() if name in (READING, DEVICE)}
    finally:
        feed.close()

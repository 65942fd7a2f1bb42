"""One demo from start to end: prepare, start, play and watch, prove, stop, report."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from caudal import log, settings
from caudal.cli import platform_view as view
from caudal.cli.demo import breaks, facts, prepare, report, watch
from caudal.cli.demo.progress import Progress
from caudal.cli.output import Output, say
from caudal.errors import CaudalError, Exit
from caudal.lake import Lake
from caudal.local import stages
from caudal.local.child import Child, Item, Step
from caudal.local.plan import local_plan
from caudal.local.supervisor import Supervisor
from caudal.settings import Settings

# `--once` gives up after this long; a cold start on two busy cores takes a fraction of it.
PATIENCE_S = 900.0
# After the players have stopped, what they sent must reach silver and gold within this time.
DRAIN_S = 180.0
RELEASE = ("commerce.order", 2)


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    once: bool
    minutes: float | None
    faults: tuple[str, ...]
    lake: str | None
    rate: float
    data: str | None


class NotDelivered(CaudalError):
    """A stage delivered nothing in time."""

    code = "CDL-DEMO-TIMEOUT"


def play(options: Options, output: Output) -> int:
    """Run the demo and return the exit code."""
    began = time.time()
    loaded = _settings(options)
    log.setup(loaded, "demo")
    return Demo(loaded, options, output, began).play()


def _settings(options: Options) -> Settings:
    first = settings.load({"data_dir": options.data})
    contracts = prepare.contracts(first.contracts_dir, first.data_dir / "contracts")
    return settings.load({"data_dir": options.data, "contracts_dir": str(contracts.resolve())})


class Demo:
    """One run. `began` is epoch seconds; all reported seconds count from the start of the set-up."""

    def __init__(self, loaded: Settings, options: Options, output: Output, began: float) -> None:
        self._options, self._output = options, output
        self._set_up_s = prepare.setup_seconds(began)
        self._began = began - self._set_up_s
        self._training = _Background(self._train)
        self._supervisor = Supervisor(loaded, self._plan(loaded), say=say)
        self._settings = self._supervisor.settings
        self._lake = Lake.open(self._settings)
        self._progress = Progress(self._settings.run_dir / "metrics")
        self._released = False

    def play(self) -> int:
        """Start, watch until the end that was asked for, prove, stop, report."""
        with self._supervisor.signals(), self._supervisor:
            if not self._supervisor.start():
                return 130
            self._welcome()
            if not self._play_faults():
                return int(Exit.UNEXPECTED)
            deadline = self._deadline()
            arrived = watch.until(self._progress, self._arrived, self._supervisor.wait, deadline, self._each)
            if self._supervisor.running() and (self._options.once or self._options.minutes):
                if self._options.once and not arrived:
                    raise self._not_delivered()
                return self._close(deadline)
        return 0

    # ---- starting

    def _plan(self, loaded: Settings) -> list[Item]:
        items = local_plan(loaded, lake=self._options.lake)  # type: ignore[arg-type]  # the verb's enum has these values
        # The scorer decides from its first record on with the model that this very history trained.
        at = next(i for i, item in enumerate(items) if isinstance(item, Child) and item.name == "scorer")
        items.insert(at, Step("history and model", lambda _, stop: self._training.join(stop)))
        # Made beside the servers' start, but after left-behind processes were ended: it carries their mark.
        begin = Step("history", lambda _, stop: self._training.start())
        return [begin, *items, self._players(loaded)]

    def _players(self, loaded: Settings) -> Child:
        # A player that was told to end must not be started again.
        return stages.child("simulate", loaded.run_dir, env=rates(loaded, self._options.rate), restart=False)

    def _train(self) -> None:
        # With the install's mark, so that a killed demo leaves nothing that the next start does not find.
        prepare.History(self._settings, {**os.environ, **self._supervisor.environment()}).make()

    def _welcome(self) -> None:
        say(f"\nDashboard: {view.entrance(self._settings)}")
        say("(the token works once; Ctrl-C stops everything)\n")

    # ---- while it plays

    def _each(self) -> None:
        if not self._released and self._progress.mark("first_silver") is not None:
            self._released = True
            if prepare.release(*RELEASE, self._settings.contracts_dir):
                say(f"released version {RELEASE[1]} of {RELEASE[0]} while everything runs")

    def _play_faults(self) -> bool:
        """One after the other, once records flow; false when one was not noticed or not recovered from."""
        if not self._options.faults:
            return True
        watch.until(self._progress, self._flowing, self._supervisor.wait, time.time() + PATIENCE_S, self._each)
        kill = lambda: self._supervisor.kill("kafka")  # noqa: E731  a name for it says nothing more
        run_dir, progress = self._settings.run_dir, self._progress
        return all(breaks.inject(name, run_dir, progress, kill, say) for name in self._options.faults)

    def _flowing(self) -> bool:
        return self._progress.mark("first_silver") is not None

    def _arrived(self) -> bool:
        return self._options.once and not self._missing()

    def _missing(self) -> list[str]:
        """What the players have to bring and has not arrived yet, cheapest questions first."""
        missing = [
            n for n in ("first_raw", "first_silver", "first_gold", "first_decision") if not self._progress.mark(n)
        ]
        if missing:
            return missing
        rows = {entry["table"]: entry["rows"] for entry in facts.gold(self._lake)}
        missing = [f"gold of {case}" for case, mart in facts.CASES.items() if not rows.get(mart)]
        if not missing and not facts.dead_letters(self._lake):
            missing = ["a dead letter"]
        if not missing and not all(facts.second_version(self._lake)):
            missing = ["version 2 of commerce.order"]
        return missing

    def _unpublished(self) -> list[str]:
        return [f"the group {group} of gold" for group in facts.unpublished(self._lake)]

    def _not_delivered(self) -> NotDelivered:
        return NotDelivered(
            f"not delivered in {PATIENCE_S:.0f} s: {', '.join(self._missing() or self._unpublished())}",
            where=str(self._settings.data_dir),
            fix="read `caudal logs`, then `caudal doctor`",
        )

    def _deadline(self) -> float | None:
        if self._options.once:
            return time.time() + PATIENCE_S
        return time.time() + self._options.minutes * 60 if self._options.minutes else None

    # ---- the end

    def _close(self, deadline: float | None) -> int:
        from caudal.cli.proofs import prove, verdict

        self._end_players()
        say("the players have stopped; what they sent is travelling to gold")
        # The marts that come every few minutes need no players any more, who would only take their cores.
        if self._options.once and not self._all_published(deadline) and self._supervisor.running():
            raise self._not_delivered()
        watch.drained(self._progress, self._supervisor.wait, time.time() + DRAIN_S)
        found = verdict(prove(self._settings, report=lambda name, seconds: say(f"proved {name} in {seconds:.1f} s")))
        summary = report.summary(self._lake, self._progress, found, self._began, self._set_up_s, self._settings.run_dir)
        self._supervisor.stop()
        report.keep(summary, self._settings.data_dir)
        report.show(summary, self._output)
        return 0 if summary["ok"] else int(Exit.INVARIANT)

    def _all_published(self, deadline: float | None) -> bool:
        return watch.until(self._progress, lambda: not self._unpublished(), self._supervisor.wait, deadline)

    def _end_players(self) -> None:
        for state in self._supervisor.states():
            if state.name == "simulate" and state.state not in ("ended", "stopped"):
                os.kill(state.pid, signal.SIGTERM)
        watch.wait_for(lambda: self._state("simulate") == "ended", self._supervisor.wait, time.time() + 30)

    def _state(self, name: str) -> str:
        return next((state.state for state in self._supervisor.states() if state.name == name), "")


def rates(loaded: Settings, factor: float) -> dict[str, str]:
    """The players' rates, scaled; the history and the rest of their settings stay."""
    return {f"CAUDAL_PRODUCERS__SIMULATE__{name.upper()}": str(n * factor) for name, n in _rates(loaded).items()}


def factor_of(loaded: Settings, events_per_s: float) -> float:
    """By what the players' rates are scaled to make so many events/s together."""
    return events_per_s / sum(_rates(loaded).values())


def _rates(loaded: Settings) -> dict[str, float]:
    from producers.simulate.settings import SimulateSettings

    own = loaded.section("producers.simulate", SimulateSettings)
    return {name: getattr(own, name) for name in ("payments_per_s", "webhooks_per_s", "product_per_s")}


class _Background:
    """Work beside the start of the servers whose failure is raised where it is waited for."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: CaudalError | None = None
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, stop: threading.Event) -> None:
        while self._thread.is_alive() and not stop.is_set():
            self._thread.join(0.2)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except CaudalError as error:
            self._error = error

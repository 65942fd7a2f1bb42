"""Starts the children of one install in order, watches them, restarts what crashes, and stops all of it cleanly."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from caudal import log
from caudal.alerts import Alerts
from caudal.errors import CaudalError
from caudal.lease import Lease, LeaseHeld, holder
from caudal.local import logs, orphans, record
from caudal.local.care import Care
from caudal.local.child import INSTALL_ID, Child, Item, Running, Step, signal_group
from caudal.local.effective import child_environment, effective
from caudal.local.entry import Entry, State, start_waves, stop_waves
from caudal.local.entry import write as write_processes
from caudal.local.errors import AlreadyUp
from caudal.local.memory import Memory
from caudal.local.ports import CLAIMS
from caudal.metrics import Metrics
from caudal.settings import Settings

# Seconds that a child which never became ready gets to end.
UNREADY_STOP_S = 3.0
_WATCH_S = 0.5
_MEMORY_S = 5.0
_ROTATE_S = 10.0


class Supervisor:
    """Runs a plan. `settings` are those of the running install: with the endpoints that the plan's children give."""

    def __init__(self, settings: Settings, plan: Sequence[Item], *, say: Callable[[str], None] | None = None) -> None:
        self.settings = effective(settings, plan)
        self.memory = Memory()
        self._plan = list(plan)
        self._run = self.settings.run_dir
        self._say = say or (lambda line: None)
        self._log = log.get("supervisor")
        self._lease = Lease(self._run / record.LEASE)
        self._metrics = Metrics("supervisor", self._run / "metrics")
        self._alerts = Alerts.open(self.settings)
        self._care = Care(self._spawn, self._changed, self._say, self._metrics, self._alerts)
        self._entries: list[Entry] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._up = False

    # ---- for the caller

    def start(self) -> bool:
        """Start everything in the plan's order. False when a stop was asked for meanwhile (then call `stop`).

        Raises:
            AlreadyUp: another supervisor runs on this data folder.
            StartError: a child did not become ready; everything started so far has been stopped.
        """
        self._take_lease()
        self._up = True
        try:
            self._clear()
            record.write_endpoints(self._run, self._gives(), self.urls())
            self._metrics.start()
            self._thread("watch", self._watch)
            for wave in start_waves(self._plan):
                if not self._begin_all(wave):
                    return False
            self._metrics.ready(True)
        except BaseException as error:
            asked = self._stopping.is_set()
            self.stop()
            if asked and isinstance(error, CaudalError):
                # Ctrl-C reaches a tool that was preparing a child, too: its failure is the stop, not an error.
                return False
            raise
        return True

    def add(self, item: Item) -> bool:
        """Start one more child, or do one more step, in the running install."""
        self._plan.append(item)
        return self._begin(item)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until a stop is asked for; False when `timeout` seconds passed first."""
        return self._stopping.wait(timeout)

    def running(self) -> bool:
        """Whether this supervisor is up and nobody has asked it to stop."""
        return self._up and not self._stopping.is_set()

    def request_stop(self) -> None:
        """Ask for the stop from any thread or signal handler; a second time: at once."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def stop(self) -> None:
        """Stop all children in reverse order, end whatever is left of them, and give the lease back. Idempotent."""
        self._stopping.set()
        if not self._up:
            return
        self._up = False
        self._metrics.ready(False)
        for thread in self._threads:
            thread.join(timeout=10)
        for wave in stop_waves(self._entries):
            enders = [threading.Thread(target=self._end, args=(entry,)) for entry in wave]
            for ender in enders:
                ender.start()
            for ender in enders:
                ender.join()
        orphans.end(self._run, grace_s=1.0)
        with contextlib.suppress(OSError):
            self.memory.write(self._run)
            self._changed()
            record.forget_endpoints(self._run)
        self._metrics.stop()
        CLAIMS.release([port for entry in self._entries for port in entry.child.ports.values()])
        self._lease.release()

    def kill(self, name: str) -> None:
        """SIGKILL one child's group, as a fault would; it is restarted like after any crash."""
        for entry in self._entries:
            if entry.child.name == name:
                signal_group(entry.running.pid, signal.SIGKILL)

    def states(self) -> list[State]:
        """How each child fares, in the order of their start."""
        with self._lock:
            return [State(e.child.name, e.state, e.running.pid, e.restarts, e.child.url) for e in self._entries]

    def urls(self) -> dict[str, str]:
        """Where each child of the plan can be reached, by name."""
        return {item.name: item.url for item in self._plan if isinstance(item, Child) and item.url}

    def environment(self) -> dict[str, str]:
        """What a further process must find in its environment to belong to this install."""
        return {**child_environment(self.settings, self._gives()), INSTALL_ID: record.install_id(self._run)}

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """While inside, SIGINT and SIGTERM ask for the stop; a second one hurries it. Main thread only."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, lambda *_: self.request_stop())
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    # ---- starting

    def _take_lease(self) -> None:
        try:
            self._lease.acquire("supervisor")
        except LeaseHeld:
            other = holder(self._run / record.LEASE)
            raise AlreadyUp(
                what="Caudal already runs on this data folder",
                where=str(self.settings.data_dir),
                why=f"process {other.pid} is its supervisor" if other else "another supervisor is starting",
                fix="run `caudal status`, or `caudal down` first, or name another folder with --data",
            ) from None

    def _clear(self) -> None:
        """End what a killed supervisor left, and forget what its processes said of themselves."""
        ended = orphans.end(self._run)
        if ended:
            self._say(f"ended {len(ended)} left-behind processes: {', '.join(ended)}")
        for stale in [*(self._run / "metrics").glob("*.json"), self._run / "memory.json"]:
            stale.unlink(missing_ok=True)
        record.install_id(self._run)

    def _begin_all(self, wave: Sequence[Item]) -> bool:
        """Start the members of one wave side by side; the first failure is raised once all have come to an end."""
        failures: list[Exception] = []

        def begin(item: Item) -> None:
            try:
                self._begin(item)
            except Exception as error:  # noqa: BLE001  (raised below, in the caller's thread)
                failures.append(error)

        if len(wave) == 1:
            return self._begin(wave[0])
        starters = [threading.Thread(target=begin, args=(item,)) for item in wave]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        if failures:
            raise failures[0]
        return not self._stopping.is_set()

    def _begin(self, item: Item) -> bool:
        if self._stopping.is_set():
            return False
        if isinstance(item, Step):
            return self._do(item)
        began = time.monotonic()
        self._say(f"starting {item.name}" + (f" at {item.url}" if item.url else ""))
        entry = Entry(item, self._spawn(item), awaited=item.wait)
        with self._lock:
            self._entries.append(entry)
        self._changed()
        if not item.wait:
            return True
        if not entry.running.wait_ready(self._stopping.is_set):
            return False
        item.after()
        entry.state, entry.awaited = "ready", False
        self._changed()
        self._say(f"{item.name} is ready after {time.monotonic() - began:.1f} s")
        return True

    def _do(self, step: Step) -> bool:
        if step.background:
            self._thread(step.name, lambda: self._in_background(step))
            return True
        began = time.monotonic()
        step.work(self.settings, self._stopping)
        self._say(f"{step.name} done after {time.monotonic() - began:.1f} s")
        return not self._stopping.is_set()

    def _in_background(self, step: Step) -> None:
        while not self._stopping.is_set():
            try:
                step.work(self.settings, self._stopping)
                return
            except Exception as error:  # noqa: BLE001  (whatever it is, the other children must go on)
                self._alerts.raise_("CDL-STEP", f"{step.name} failed and starts again", step.name, why=str(error))
                self._stopping.wait(5.0)

    def _spawn(self, child: Child) -> Running:
        return Running(child, self.settings.data_dir / "logs" / f"{child.name}.log", self.environment())

    # ---- watching

    def _watch(self) -> None:
        sampled = rotated = 0.0
        while not self._stopping.wait(_WATCH_S):
            for entry in list(self._entries):
                # One child's trouble must not blind the watch over the others.
                with contextlib.suppress(OSError):
                    self._care.look_after(entry)
            now = time.monotonic()
            if now - sampled > _MEMORY_S:
                sampled = now
                self._measure()
            if now - rotated > _ROTATE_S:
                rotated = now
                for entry in list(self._entries):
                    logs.rotate(entry.running.log)

    def _measure(self) -> None:
        roots = {e.child.name: e.running.pid for e in self._entries if e.running.exit_code() is None}
        self.memory.sample(roots)
        for name, used in self.memory.now.items():
            self._metrics.gauge("caudal_memory_mib", used, process=name)
        with contextlib.suppress(OSError):
            self.memory.write(self._run)

    # ---- stopping and telling

    def _end(self, entry: Entry) -> None:
        began = time.monotonic()
        # One that was still starting has nothing in its hands that could be finished.
        patience = None if entry.state == "ready" else UNREADY_STOP_S
        entry.running.stop(hurry=self._hurry.is_set, patience_s=patience)
        entry.state = "stopped"
        self._say(f"stopped {entry.child.name} in {time.monotonic() - began:.1f} s")

    def _thread(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _gives(self) -> dict[str, object]:
        return {path: v for item in self._plan if isinstance(item, Child) for path, v in item.gives.items()}

    def _changed(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            write_processes(self._run, self._entries)

"""Starts the children of one install in order, watches them, restarts what crashes, and stops all of it cleanly."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from caudal import log
from caudal.alerts import Alerts
from caudal.errors import CaudalError
from caudal.lease import Lease, LeaseHeld, holder
from caudal.local import logs, orphans, record
from caudal.local.child import INSTALL_ID, Child, Item, Running, Step
from caudal.local.effective import child_environment, effective
from caudal.local.errors import AlreadyUp
from caudal.local.memory import Memory
from caudal.local.ports import CLAIMS
from caudal.metrics import Metrics
from caudal.settings import Settings

# Seconds before the first restart; it doubles up to the second figure, and starts over after a minute of work.
BACKOFF_S = (1.0, 30.0)
STEADY_S = 60.0
_WATCH_S = 0.5
_MEMORY_S = 5.0
_ROTATE_S = 10.0


@dataclass
class _Entry:
    """One child and how it fares. `state`: starting, ready, restarting, ended, stopped."""

    child: Child
    running: Running
    state: str = "starting"
    # True while `start` itself waits for it; the watcher leaves it alone.
    awaited: bool = True
    restarts: int = 0
    backoff_s: float = BACKOFF_S[0]
    again_at: float = 0.0
    late: bool = False


@dataclass(frozen=True)
class State:
    """How one child fares, for people."""

    name: str
    state: str
    pid: int
    restarts: int
    url: str


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
        self._entries: list[_Entry] = []
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
        for wave in _waves(self._entries):
            enders = [threading.Thread(target=self._end, args=(entry,)) for entry in wave]
            for ender in enders:
                ender.start()
            for ender in enders:
                ender.join()
        orphans.end(self._run, grace_s=1.0)
        with contextlib.suppress(OSError):
            self.memory.write(self._run)
            self._write_processes()
            record.forget_endpoints(self._run)
        self._metrics.stop()
        CLAIMS.release([port for entry in self._entries for port in entry.child.ports.values()])
        self._lease.release()

    def kill(self, name: str) -> None:
        """SIGKILL one child's group, as a fault would; it is restarted like after any crash."""
        from caudal.local.child import signal_group

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
        entry = _Entry(item, self._spawn(item), awaited=item.wait)
        with self._lock:
            self._entries.append(entry)
        self._write_processes()
        if not item.wait:
            return True
        if not entry.running.wait_ready(self._stopping.is_set):
            return False
        item.after()
        entry.state, entry.awaited = "ready", False
        self._write_processes()
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
                    self._look_after(entry)
            now = time.monotonic()
            if now - sampled > _MEMORY_S:
                sampled = now
                self._measure()
            if now - rotated > _ROTATE_S:
                rotated = now
                for entry in list(self._entries):
                    logs.rotate(entry.running.log)

    def _look_after(self, entry: _Entry) -> None:
        if entry.awaited or entry.state == "ended":
            return
        code = entry.running.exit_code()
        if entry.state == "restarting":
            if time.monotonic() >= entry.again_at:
                self._again(entry)
        elif code is not None:
            self._crashed(entry, code)
        elif entry.state == "starting":
            self._still_starting(entry)

    def _still_starting(self, entry: _Entry) -> None:
        if entry.child.ready() is None:
            entry.child.after()
            entry.state = "ready"
            took = time.time() - entry.running.started_at
            self._say(f"{entry.child.name} is ready after {took:.1f} s")
            self._write_processes()
        elif not entry.late and time.time() - entry.running.started_at > entry.child.ready_s:
            entry.late = True
            self._alerts.raise_(
                "CDL-START", f"{entry.child.name} is not ready yet", entry.child.name, seconds=entry.child.ready_s
            )

    def _crashed(self, entry: _Entry, code: int) -> None:
        name = entry.child.name
        # What it started must not go on without it: a JVM would keep its table's lease and its port.
        entry.running.stop(hurry=lambda: True)
        if not entry.child.restart:
            entry.state = "ended"
            self._say(f"{name} ended with code {code}")
            self._write_processes()
            return
        if time.time() - entry.running.started_at > STEADY_S:
            entry.backoff_s = BACKOFF_S[0]
        entry.again_at = time.monotonic() + entry.backoff_s
        self._say(f"{name} ended with code {code}, starts again in {entry.backoff_s:.0f} s")
        self._log.warning("child ended", child=name, code=code, again_in_s=entry.backoff_s)
        self._metrics.count("caudal_restarts_total", process=name)
        self._alerts.raise_("CDL-CRASH", f"{name} ended with code {code} and starts again", f"crash-{name}")
        entry.backoff_s = min(entry.backoff_s * 2, BACKOFF_S[1])
        entry.state = "restarting"
        self._write_processes()

    def _again(self, entry: _Entry) -> None:
        try:
            entry.running = self._spawn(entry.child)
        except (OSError, CaudalError) as error:
            entry.again_at = time.monotonic() + entry.backoff_s
            self._log.warning("child did not start", child=entry.child.name, why=str(error))
            return
        entry.restarts += 1
        entry.late = False
        entry.state = "starting"
        self._write_processes()

    def _measure(self) -> None:
        roots = {e.child.name: e.running.pid for e in self._entries if e.running.exit_code() is None}
        self.memory.sample(roots)
        for name, used in self.memory.now.items():
            self._metrics.gauge("caudal_memory_mib", used, process=name)
        with contextlib.suppress(OSError):
            self.memory.write(self._run)

    # ---- stopping and telling

    def _end(self, entry: _Entry) -> None:
        began = time.monotonic()
        entry.running.stop(hurry=self._hurry.is_set)
        entry.state = "stopped"
        self._say(f"stopped {entry.child.name} in {time.monotonic() - began:.1f} s")

    def _thread(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _gives(self) -> dict[str, object]:
        return {path: v for item in self._plan if isinstance(item, Child) for path, v in item.gives.items()}

    def _write_processes(self) -> None:
        with self._lock:
            children = {
                e.child.name: {
                    "pid": e.running.pid,
                    "born": e.running.born,
                    "state": e.state,
                    "restarts": e.restarts,
                    "ports": dict(e.child.ports),
                    "url": e.child.url,
                    "log": str(e.running.log),
                }
                for e in self._entries
            }
        known = {"install": record.install_id(self._run), "at": time.time(), "children": children}
        with contextlib.suppress(OSError):
            record.write(self._run / "processes.json", json.dumps(known, indent=1))


def start_waves(plan: Sequence[Item]) -> list[list[Item]]:
    """The start's order: servers next to each other know nothing of one another and start side by side."""
    waves: list[list[Item]] = []
    for item in plan:
        last = waves[-1][-1] if waves else None
        if isinstance(item, Child) and isinstance(last, Child) and item.wait and last.wait:
            waves[-1].append(item)
        else:
            waves.append([item])
    return waves


def _waves(entries: Sequence[_Entry]) -> list[list[_Entry]]:
    """The stop's order: reversed; neighbours that nothing waits for end side by side."""
    waves: list[list[_Entry]] = []
    for entry in reversed(entries):
        if waves and not entry.child.wait and not waves[-1][-1].child.wait:
            waves[-1].append(entry)
        else:
            waves.append([entry])
    return waves

"""Group commit: requests that come at the same time share one vault transaction and one stretch of Kafka requests.

One thread takes everything that waits, prepares and sends it, and goes on with the next group while Kafka acknowledges
the last. A request's future is done when each of its records is refused or acknowledged.
"""

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from caudal import log
from caudal.errors import CaudalError, TransientError
from caudal.fault import crashpoint
from producers.errors import Unavailable
from producers.publish import Event, Publisher
from producers.publish_prepare import Prepared, Refused

Status = Literal["accepted", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one record. `failed` means: not acknowledged, send it again."""

    status: Status
    event_id: str = ""
    code: str = ""
    path: str = ""

    def record(self) -> dict[str, str]:
        """The verdict as JSON, without empty parts."""
        parts = {"status": self.status, "event_id": self.event_id, "code": self.code, "path": self.path}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What of the origin is the same for a whole request. `observed_at` is epoch milliseconds."""

    contract_id: str
    observed_at: int
    source: str = "http"
    run: str | None = None


@dataclass(slots=True)
class _Work:
    stamp: Stamp
    events: Sequence[Event]
    future: "Future[list[Verdict]]" = field(default_factory=Future)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, index: int, verdict: Verdict) -> None:
        with self.lock:
            self.verdicts[index] = verdict
            done = len(self.verdicts) == len(self.events)
        if done and self.future.set_running_or_notify_cancel():
            self.future.set_result([self.verdicts[i] for i in range(len(self.events))])

    def fail(self, error: BaseException) -> None:
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class GroupCommit:
    """Owns one thread. `submit` may be called from any thread or loop."""

    def __init__(self, publisher: Publisher, *, group_records: int, waiting: int) -> None:
        self._publisher, self._group_records = publisher, group_records
        self._queue: queue.Queue[_Work | None] = queue.Queue(maxsize=waiting)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def submit(self, stamp: Stamp, events: Sequence[Event]) -> "Future[list[Verdict]]":
        """A future of one verdict per event. Raises Unavailable when too many requests are in line.

        The future fails with UnknownContract, or a TransientError when vault or contracts are away.
        """
        work = _Work(stamp, events)
        if not events:
            work.future.set_result([])
            return work.future
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            raise Unavailable("too many requests are waiting", retry_after=2.0) from None
        return work.future

    def close(self) -> None:
        """Finish what is in line, then end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, size, last = [first], len(first.events), False
            while size < self._group_records:
                try:
                    work = self._queue.get_nowait()
                except queue.Empty:
                    break
                if work is None:
                    last = True
                    break
                group.append(work)
                size += len(work.events)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[_Work]) -> None:
        def alike(work: _Work) -> tuple[str, str, str]:
            return (work.stamp.contract_id, work.stamp.source, work.stamp.run or "")

        for _, batch in groupby(sorted(group, key=alike), key=alike):
            works = list(batch)
            try:
                self._publish(works)
            except CaudalError as error:
                for work in works:
                    work.fail(error)
            except Exception as error:  # noqa: BLE001  # the thread must outlive a bug, and its callers learn of it
                log.get("intake").error("group_failed", error=type(error).__name__)
                for work in works:
                    work.fail(error)

    def _publish(self, works: list[_Work]) -> None:
        places = [(work, index) for work in works for index in range(len(work.events))]
        stamp = works[0].stamp
        answers = self._publisher.prepare_many(
            stamp.contract_id,
            [event for work in works for event in work.events],
            observed_at=[work.stamp.observed_at for work, _ in places],
            source=stamp.source,
            run=stamp.run,
        )
        crashpoint("intake.sealed")
        down: TransientError | None = None
        for (work, index), answer in zip(places, answers, strict=True):
            if isinstance(answer, Refused):
                work.decide(index, Verdict("refused", code=answer.code, path=answer.path))
            elif down is not None:
                work.decide(index, Verdict("failed", answer.event_id, down.code))
            else:
                try:
                    self._publisher.produce(answer, _Answer(work, index))
                except TransientError as error:
                    down = error  # the queue stayed full until the deadline: the rest would only wait as long again
                    work.decide(index, Verdict("failed", answer.event_id, error.code))
        crashpoint("intake.sent")


class _Answer:
    __slots__ = ("_index", "_work")

    def __init__(self, work: _Work, index: int) -> None:
        self._work, self._index = work, index

    def __call__(self, prepared: Prepared, why: str | None) -> None:
        verdict = Verdict("accepted", prepared.event_id)
        if why is not None:
            verdict = Verdict("failed", prepared.event_id, "CDL-NOT-DELIVERED")
        self._work.decide(self._index, verdict)


def summary(verdicts: Sequence[Verdict]) -> Mapping[str, int]:
    """How many records have each status."""
    return {status: sum(1 for v in verdicts if v.status == status) for status in ("accepted", "refused", "failed")}

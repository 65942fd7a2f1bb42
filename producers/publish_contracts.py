"""The contracts a publisher knows: read from their topic to its end, then followed in the background."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from caudal import log
from caudal.errors import TransientError
from producers.errors import UnknownContract

if TYPE_CHECKING:
    from schemas.distribution import Released


class Feed(Protocol):
    """What `schemas.distribution.ContractFeed` offers."""

    def read_to_end(self) -> dict[str, "Released"]: ...

    def poll(self, timeout: float) -> "list[Released]": ...

    def close(self) -> None: ...


# Longer looks would make every program that publishes end later.
CLOSES_WITHIN_S = 0.2


class Contracts:
    """Released contracts by id. Nothing is ever registered or made here: an unknown contract is an error.

    The feed is opened at the first question, so that building a publisher connects to nothing.
    """

    def __init__(self, open_feed: Callable[[], Feed], poll_s: float) -> None:
        self._open_feed, self._poll_s = open_feed, poll_s
        self._released: dict[str, Released] = {}
        self._known = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def fixed(cls, released: "Mapping[str, Released]") -> "Contracts":
        """Contracts that never change, for tests and tools without a broker."""

        def no_feed() -> Feed:
            raise AssertionError("fixed contracts have no feed")

        contracts = cls(no_feed, 0)
        contracts._released, contracts._known = dict(released), True
        return contracts

    def get(self, contract_id: str) -> "Released":
        """The newest release of a contract. Raises UnknownContract, or a TransientError when the feed is away."""
        if not self._known:
            self._start()
        try:
            return self._released[contract_id]
        except KeyError:
            raise UnknownContract(
                "no such contract was released", where=contract_id, fix="run `caudal contract apply`"
            ) from None

    def ids(self) -> list[str]:
        """Ids of all released contracts, sorted."""
        if not self._known:
            self._start()
        return sorted(self._released)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _start(self) -> None:
        with self._lock:
            if not self._known:
                feed = self._open_feed()
                try:
                    self._released = dict(feed.read_to_end())
                except BaseException:
                    feed.close()
                    raise
                self._thread = threading.Thread(target=self._follow, args=(feed,), name="contracts", daemon=True)
                self._thread.start()
                self._known = True

    def _follow(self, feed: Feed) -> None:
        try:
            while not self._stop.is_set():
                try:
                    for released in feed.poll(min(self._poll_s, CLOSES_WITHIN_S)):
                        self._released[released.contract.id] = released
                except TransientError as error:
                    # What is known keeps working; the next look may succeed.
                    log.get("publish").warning("contracts_away", code=error.code)
                    self._stop.wait(self._poll_s)
        finally:
            feed.close()

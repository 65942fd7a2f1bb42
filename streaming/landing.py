"""A batch's way into raw, which begins when the first contract has looked at its rows.

The look and raw's append keep all cores busy, so side by side each would only wait for the other; what comes after the
look mostly waits for the driver, and raw's append fills that time. Of a batch of a few rows all of it waits for the
driver, so that one begins at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from streaming.errors import NotLanded


class Landing:
    """Begun once, by whoever asks first."""

    def __init__(self, submit: Callable[[], Future[int]]) -> None:
        self._submit, self._lock = submit, threading.Lock()
        self._future: Future[int] | None = None

    def begin(self) -> None:
        """Send the batch on its way."""
        with self._lock:
            if self._future is None:
                self._future = self._submit()

    def result(self) -> int:
        """When the batch was in raw, epoch milliseconds. Waits for it; raises what kept it from there."""
        self.begin()
        assert self._future is not None
        return self._future.result()

    def landed(self) -> int:
        """The same. Raises NotLanded when the batch will not be in raw."""
        try:
            return self.result()
        except Exception as error:
            raise NotLanded("the batch did not reach raw", why=type(error).__name__) from error

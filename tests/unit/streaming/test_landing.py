"""A batch goes into raw once, whoever asks for it first."""

from concurrent.futures import Future

import pytest

from streaming.errors import NotLanded
from streaming.landing import Landing


def test_a_landing_begins_once_and_tells_everybody() -> None:
    """Contracts that look side by side send their batch on its way once, and all hear when it was there."""
    begun: list[Future[int]] = []

    def submit() -> Future[int]:
        begun.append(Future())
        begun[-1].set_result(17)
        return begun[-1]

    landing = Landing(submit)
    landing.begin()
    landing.begin()
    assert (landing.landed(), landing.result(), len(begun)) == (17, 17, 1)


def test_nothing_is_made_of_a_batch_that_does_not_land() -> None:
    """Contracts hear NotLanded, the stage what it was."""

    def submit() -> Future[int]:
        failed: Future[int] = Future()
        failed.set_exception(OSError("disk"))
        return failed

    landing = Landing(submit)
    with pytest.raises(NotLanded):
        landing.landed()
    with pytest.raises(OSError, match="disk"):
        landing.result()

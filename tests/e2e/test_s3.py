"""The whole stack with its lake on an S3 server: every stage delivers, a kill loses nothing, everything is proved."""

from collections.abc import Iterator

import pytest

from tests.support.install import Install

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1200)]

# After the kill, silver on S3 is minutes behind; verify waits for it as long as it must.
PATIENT = {"CAUDAL_SERVING__VERIFY_WAIT_S": "200"}
MARKS = ("first_raw", "first_silver", "first_gold", "first_decision")


@pytest.fixture(scope="module")
def install(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """The demo on S3, playing at a third of its speed, once every stage has delivered."""
    running = Install(tmp_path_factory.mktemp("s3") / "data", PATIENT).start("demo", "--lake", "s3", "--rate", "0.3")
    try:
        running.until(lambda: all(running.mark(name) for name in MARKS), "every stage", timeout=600)
        yield running
    finally:
        running.stop()


def test_a_killed_streaming_job_comes_back_and_everything_is_proved(install: Install) -> None:
    """New events reach silver after the kill, and `caudal verify` holds on the running install."""
    pid = install.kill("streaming")
    install.until(lambda: install.child("streaming")["pid"] != pid, "a new streaming process")
    install.until(lambda: install.rows("silver") > 0, "new rows in silver", timeout=400)
    code, verdict = install.verb("verify")
    broken = [check for check in verdict["checks"] if not check["ok"]]
    assert (code, broken) == (0, [])
    assert [check["invariant"] for check in verdict["checks"] if check["examined"] > 0] == [1, 2, 3, 4, 5, 6, 7]

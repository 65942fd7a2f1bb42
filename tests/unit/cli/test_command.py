import json
import subprocess
import sys
from pathlib import Path

import pytest

from caudal import settings
from caudal.cli import output
from caudal.cli.config import MASK, _shown, _walk
from caudal.cli.demo import prepare
from caudal.cli.demo.progress import Progress, as_line
from caudal.cli.proofs import verdict
from caudal.errors import CaudalError
from caudal.metrics import Metrics
from caudal.proof import Check


def test_secrets_of_the_configuration_are_masked() -> None:
    """Typed secrets and anything named like one are never shown, wherever they were set."""
    env = {
        "CAUDAL_REDIS__URL": "redis://:hunter2@h:1/0",
        "CAUDAL_LAKE__S3_SECRET_KEY": "hunter2",
        "CAUDAL_KAFKA__SECURITY": '{"sasl.password": "hunter2"}',
        "CAUDAL_ALERTS__URLS": '["slack://hunter2"]',
        "CAUDAL_PRODUCERS__SHOP_TOKEN": "hunter2",
    }
    loaded = settings.load({}, env)
    shown = {path: _shown(path, value) for path, value in _walk(loaded.model_dump())}
    assert "hunter2" not in json.dumps(shown)
    assert shown["redis.url"] == MASK
    assert shown["producers.shop_token"] == MASK
    assert shown["kafka.bootstrap"] == "127.0.0.1:9092"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["verify", "-o", "json"], output.Output.json),
        (["verify", "--output=json"], output.Output.json),
        (["verify"], output.Output.human),
        (["verify", "-o"], output.Output.human),
    ],
)
def test_errors_take_the_shape_that_the_verb_was_asked_for(argv: list[str], expected: output.Output) -> None:
    """The output option is known before the command line is parsed."""
    assert output.wanted(argv) is expected


def test_an_error_is_one_json_object_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that called a verb reads the code, the facts and the exit code."""
    code = output.fail(CaudalError("it broke", fix="mend it", code="CDL-X"), output.Output.json)
    found = json.loads(capsys.readouterr().out)
    assert (code, found["ok"], found["error"]["code"]) == (1, False, "CDL-X")


def check(invariant: int, *, ok: bool = True, examined: int = 1) -> Check:
    return Check(invariant, "a check", ok, examined)


def test_an_invariant_holds_when_all_its_checks_hold() -> None:
    """One failed check breaks its invariant and the whole verdict, and only that invariant."""
    found = verdict([check(1), check(1, ok=False), check(2)])
    assert found["ok"] is False
    assert [(c["invariant"], c["ok"], c["examined"]) for c in found["checks"]] == [(1, False, 2), (2, True, 1)]


def test_a_proof_that_examined_nothing_proves_nothing() -> None:
    """A check over an empty install is no proof."""
    assert verdict([check(1, examined=0)])["ok"] is False
    assert verdict([])["ok"] is False


def test_progress_sums_over_contracts_and_processes(tmp_path: Path) -> None:
    """A stage's line adds what every process and contract reports; the slowest contract's age is shown."""
    one, two = Metrics("streaming", tmp_path), Metrics("web", tmp_path)
    one.count("caudal_rows_total", 5, stage="raw", contract="a")
    two.count("caudal_rows_total", 6, stage="raw", contract="b")
    one.quantiles("raw", 1, 2.0, 3, 10, contract="a")
    one.quantiles("raw", 1, 4.0, 5, 10, contract="b")
    one.gauge("caudal_lag", 9, stage="raw", contract="a")
    one.flush()
    two.flush()
    progress = Progress(tmp_path)
    raw = next(view for view in progress.read() if view.stage == "raw")
    assert (raw.rows, raw.lag, raw.p95) == (11, 9, 4.0)
    assert "raw 11" in as_line([raw])


def test_a_release_reaches_only_the_installs_own_contracts(tmp_path: Path) -> None:
    """The packaged contract keeps version 1 while the install's copy gains version 2, once."""
    packaged = settings.load({"data_dir": str(tmp_path)}, {}).contracts_dir
    mine = prepare.contracts(packaged, tmp_path / "contracts")
    assert prepare.release("commerce.order", 2, mine) is True
    assert prepare.release("commerce.order", 2, mine) is False
    assert (mine / "commerce" / "order" / "v2.avsc").exists()
    assert not (packaged / "commerce" / "order" / "v2.avsc").exists()


def test_help_imports_nothing_heavy() -> None:
    """Help answers at once, because stages and their libraries are imported by the verb that needs them."""
    code = "import sys, caudal.cli.main; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "structlog", "pyspark", "dbt", "fastapi", "numpy", "deltalake", "confluent_kafka", "sqlglot"}
    assert not heavy & set(done.stdout.split())

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from caudal.metrics import Metrics
from caudal.settings import Settings

IMAGES = Path(__file__).resolve().parents[3] / "deploy" / "images"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, IMAGES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_health_is_the_process_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is healthy when its process says ready, and not while it starts or when another one does."""
    monkeypatch.setenv("CAUDAL_DATA_DIR", str(tmp_path))
    healthy = script("healthy").healthy
    (tmp_path / "run" / "metrics").mkdir(parents=True)
    metrics = Metrics("batch", tmp_path / "run" / "metrics")
    metrics.flush()
    assert not healthy("batch")
    metrics.ready()
    metrics.flush()
    assert healthy("batch")
    assert not healthy("streaming")


def test_only_a_bucket_is_made(tmp_path: Path) -> None:
    """A lake in a folder is no bucket, and the script says so."""
    with pytest.raises(SystemExit, match="s3://"):
        script("make_bucket").make(Settings(data_dir=tmp_path))

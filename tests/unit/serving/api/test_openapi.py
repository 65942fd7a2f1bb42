from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from fastapi import FastAPI

from caudal.metrics import Metrics
from caudal.settings import Settings
from serving.api import app as api

DESCRIBED = Path(__file__).resolve().parents[4] / "docs" / "api" / "v1.json"
# After a change that was meant: run this module as a program.
HOW = "PYTHONPATH=. python tests/unit/serving/api/test_openapi.py > docs/api/v1.json"


@pytest.fixture
def described(tmp_path: Path) -> dict[str, object]:
    return describe(tmp_path)


def describe(folder: Path) -> dict[str, object]:
    mounted = api.build(Settings(data_dir=folder), Metrics("web"))
    app = FastAPI(title="Caudal", version="1")
    app.include_router(mounted.router)
    mounted.close()
    return app.openapi()


def test_the_description_is_the_committed_one(described: dict[str, object]) -> None:
    """Nobody changes the API without seeing it: the description is a file of the repository."""
    assert json.loads(DESCRIBED.read_text(encoding="utf-8")) == described, HOW


def test_every_route_with_a_token_says_what_it_refuses(described: dict[str, object]) -> None:
    """Version 3.1; each route below /v1 lists its coded errors; no name refers to what is not there."""
    assert str(described["openapi"]).startswith("3.1")
    assert "$ref" not in json.dumps(described)
    paths = described["paths"]
    assert isinstance(paths, dict)
    for path, methods in paths.items():
        for operation in methods.values():
            if path.startswith("/v1/"):
                assert {"401", "403", "429"} <= set(operation["responses"]), path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(describe(Path(scratch)), indent=1, sort_keys=True))

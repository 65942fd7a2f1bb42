"""What a demo needs before it starts: its own copy of the contracts, the simulated history, the model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from caudal.errors import CaudalError
from caudal.settings import Settings

# A set-up that ended within this time belongs to this start of the demo.
SETUP_WINDOW_S = 120.0
RELEASES = Path(__file__).resolve().parents[3] / "producers" / "simulate" / "releases"


class PrepareError(CaudalError):
    """A step before the start did not succeed."""

    code = "CDL-DEMO-PREPARE"
    exit_code = 3


def contracts(packaged: Path, target: Path) -> Path:
    """Give the install its own contracts folder, so that a live release changes nothing of the project."""
    if not target.exists():
        staged = target.with_name(f".{target.name}.copying")
        shutil.rmtree(staged, ignore_errors=True)
        shutil.copytree(packaged, staged)
        staged.rename(target)
    return target


def release(contract: str, version: int, contracts_dir: Path) -> bool:
    """Put a prepared version of a contract into the install's folder; False when it is there already."""
    domain, event = contract.split(".")
    target = contracts_dir / domain / event / f"v{version}.avsc"
    if target.exists():
        return False
    source = RELEASES / domain / event / f"v{version}.avsc"
    # Under another name first: the folder watcher must never read half a file.
    staged = target.with_name(f".{target.name}")
    shutil.copy(source, staged)
    staged.rename(target)
    return True


class History:
    """Forty simulated days and the model trained on them, made once beside the platform's start."""

    def __init__(self, settings: Settings, env: dict[str, str]) -> None:
        self._target = settings.data_dir / "history" / "transactions.npz"
        self._model_done = settings.data_dir / "history" / "trained"
        self._settings = settings
        self._env = env

    def make(self) -> None:
        """Write the history, then train; does nothing when both are there. Raises PrepareError."""
        if self._model_done.exists():
            return
        data = str(self._settings.data_dir)
        self._run("-m", "producers.simulate.history", str(self._target))
        self._run("-m", "caudal.cli.main", "fraud", "train", "--data", data)
        self._model_done.touch()

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([sys.executable, *arguments], env=self._env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PrepareError(
                "a step before the start failed",
                where=" ".join(arguments),
                why=(done.stderr or done.stdout).strip().splitlines()[-1] if done.stderr or done.stdout else "",
                fix="run it by hand to see more",
            )


def setup_seconds(now: float | None = None) -> float:
    """Seconds that the set-up of this very start took; 0 when there was nothing to set up."""
    record = Path(sys.prefix) / "share" / "caudal" / "setup.json"
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0
    recent = (time.time() if now is None else now) - found["ended"] < SETUP_WINDOW_S
    return float(found["ended"] - found["started"]) if recent else 0.0

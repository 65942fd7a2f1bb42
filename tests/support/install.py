"""A whole install as a user runs it: one supervisor process on a folder of its own, asked and hurt from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from caudal import settings
from caudal.cli.demo.progress import Progress
from caudal.local.child import signal_group
from caudal.settings import Settings

CAUDAL = [sys.executable, "-m", "caudal.cli.main"]


class Install:
    """`caudal <verb>` on one data folder, in the background."""

    def __init__(self, data: Path, env: Mapping[str, str] | None = None) -> None:
        self.data = data
        self._env = {**os.environ, "CAUDAL_LOG__FORMAT": "json", **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.progress = Progress(data / "run" / "metrics")

    @property
    def settings(self) -> Settings:
        """The settings that any verb on this folder sees now."""
        return settings.load({"data_dir": str(self.data), "contracts_dir": str(self.data / "contracts")}, {})

    def start(self, *arguments: str) -> Install:
        """Start a verb that stays in the foreground (`demo`, `up`)."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "supervisor.out").open("ab") as out:
            self._process = subprocess.Popen(
                [*CAUDAL, *arguments, "--data", str(self.data)],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def verb(self, *arguments: str, timeout: float = 300) -> tuple[int, dict[str, Any]]:
        """Run one verb to its end with `-o json`; its exit code and its answer."""
        done = subprocess.run(
            [*CAUDAL, *arguments, "--data", str(self.data), "-o", "json"],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        lines = done.stdout.strip().splitlines()
        assert lines, f"no answer, exit {done.returncode}: {done.stderr[-2000:]}"
        return done.returncode, json.loads(lines[-1])

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 240) -> None:
        """Wait for a condition; a dead supervisor or the end of patience fails with the tail of its output."""
        deadline = time.monotonic() + timeout
        while not condition():
            alive = self._process is None or self._process.poll() is None
            assert alive, f"the supervisor ended while waiting for {what}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}\n{self.tail()}"
            time.sleep(0.5)

    def rows(self, stage: str) -> int:
        """Rows that a stage has reported so far."""
        self.progress.read()
        return self.progress.by_stage("caudal_rows_total")[stage]

    def mark(self, name: str) -> bool:
        """Whether any process has reached this mark."""
        self.progress.read()
        return self.progress.mark(name) is not None

    def ready(self, *names: str) -> bool:
        """Whether these children run and are ready."""
        record = json.loads((self.data / "run" / "processes.json").read_text(encoding="utf-8"))
        return all(record["children"].get(name, {}).get("state") == "ready" for name in names)

    def child(self, name: str) -> dict[str, Any]:
        """The record of one child process."""
        record: dict[str, Any] = json.loads((self.data / "run" / "processes.json").read_text(encoding="utf-8"))
        found: dict[str, Any] = record["children"][name]
        return found

    def kill(self, name: str) -> int:
        """SIGKILL a child's whole group; its process id."""
        pid = int(self.child(name)["pid"])
        signal_group(pid, signal.SIGKILL)
        return pid

    def wait(self, timeout: float = 900) -> int:
        """Wait for the verb to end by itself."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> int:
        """Ctrl-C, and wait until everything has ended."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(120)

    def tail(self, lines: int = 25) -> str:
        """The end of the supervisor's output."""
        text = (self.data / "supervisor.out").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

"""How every benchmark ends: its answer is kept beside the earlier ones, shown, and judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from caudal.cli.output import Output, emit, next_step
from caudal.errors import Exit


def kept_in(data: str | None, name: str) -> Path:
    """The file of JSON lines that an install keeps a benchmark's answers in."""
    from caudal import settings

    return settings.load({"data_dir": data}).data_dir / "benchmarks" / f"{name}.jsonl"


def end(found: Mapping[str, Any], kept: Path, output: Output, shown: Callable[[], str]) -> None:
    """Keep and show an answer; exit 1 when its `ok` is false."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"at": time.time(), **found}) + "\n")
    emit(found, output, shown)
    next_step(f"compare with earlier runs: {kept}")
    if not found["ok"]:
        raise typer.Exit(Exit.UNEXPECTED)

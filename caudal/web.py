"""What a stage hands to the one web process: its routes and how to close what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Mounted:
    """Routes of one stage. `close` runs once, when the web process stops."""

    router: APIRouter
    close: Callable[[], None] = _nothing

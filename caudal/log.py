"""Structured logs: readable lines for people on a terminal, JSON lines elsewhere.

Events carry coordinates, codes and counts. Values of records never reach a log.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO, cast

import structlog

from caudal.settings import Settings


def setup(settings: Settings, process: str) -> None:
    """Configure logging of this process once; everything goes to standard error."""
    human = settings.log.format == "human" or (settings.log.format == "auto" and sys.stderr.isatty())
    level = logging.getLevelNamesMapping().get(settings.log.level.upper(), logging.INFO)
    renderer: Any = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _StandardError())),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, stream=_StandardError(), format="%(levelname)s %(name)s %(message)s")


class _StandardError:
    """Standard error as it is at each line: a live table takes its place for a while, to keep its own lines apart."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry the component's name. It may be made before `setup`: that holds for it too."""
    # Not `.bind`: it would take this moment's configuration, and modules make their loggers when they are imported.
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(component=name))


# Whoever never calls `setup` keeps its data on standard output clean all the same.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _StandardError())))

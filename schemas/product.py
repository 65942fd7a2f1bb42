"""The rules of product analytics (`schemas/product.yml`): what a plan shows and may use, and which funnels are
counted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from schemas import duration
from schemas.errors import RulesError

# Names become literals of SQL, so they are words.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tier(_Rule):
    """One plan. A quota that is None has no limit."""

    shows: tuple[Word, ...]
    events_per_month: int | None = Field(default=None, ge=1)
    users_per_month: int | None = Field(default=None, ge=1)


class Step(_Rule):
    """An event that takes a user one step on."""

    event_type: Word
    name: Word


class Funnel(_Rule):
    """Steps in their order, all within so many whole days from the first."""

    within: str
    steps: tuple[Step, ...] = Field(min_length=2, max_length=20)

    @field_validator("within")
    @classmethod
    def _whole_days(cls, text: str) -> str:
        span = duration.parse(text)
        if span.seconds or not 1 <= span.days <= 90:
            raise ValueError("must be 1 to 90 whole days")
        return text

    @field_validator("steps")
    @classmethod
    def _each_once(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if len(set(steps)) < len(steps):
            raise ValueError("an event cannot be two steps of one funnel")
        return steps

    @property
    def days(self) -> int:
        """Whole days that a user has from the day of the first step."""
        return duration.parse(self.within).days


class ProductRules(_Rule):
    """All rules of one file."""

    id: Word
    source: Word
    tiers: Mapping[Word, Tier] = Field(min_length=1)
    funnels: Mapping[Word, Funnel] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes when any rule does, and not when a comment does."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def load(path: Path | None = None) -> ProductRules:
    """The rules of a file, by default those that come with Caudal. Raises RulesError naming the entry that is wrong."""
    where = str(path) if path else "schemas/product.yml"
    try:
        text = (path or files("schemas").joinpath("product.yml")).read_text(encoding="utf-8")
        return ProductRules.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RulesError(
            "the rules of product analytics do not fit", where=f"{where}: {place}", why=str(first["msg"]), fix=_FIX
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RulesError(
            "the rules of product analytics cannot be read", where=where, why=type(error).__name__, fix=_FIX
        ) from error


_FIX = "see docs/analytics.md for what the file may say"

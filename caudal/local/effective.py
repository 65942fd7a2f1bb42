"""Settings of a running install: what the user said, with the endpoints that its own servers give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from caudal.local.child import Child, Item
from caudal.local.record import nested
from caudal.settings import PREFIX, Settings, environment

# Where an earlier run left its endpoints: never a source for the next one.
_STALE = "running install"


def effective(settings: Settings, plan: Sequence[Item]) -> Settings:
    """The settings with absolute folders and everything that the children of the plan give."""
    gives = {path: v for item in plan if isinstance(item, Child) for path, v in item.gives.items()}
    sections = {
        name: getattr(settings, name).model_copy(update={k: _typed(settings, name, k, v) for k, v in values.items()})
        if name in type(settings).model_fields
        # a stage's own section, which only the stage has a model of
        else _merged((settings.model_extra or {}).get(name, {}), values)
        for name, values in nested(gives).items()
    }
    return settings.with_(
        data_dir=settings.data_dir.resolve(), contracts_dir=settings.contracts_dir.resolve(), **sections
    )


def said(settings: Settings, path: str) -> bool:
    """Whether the user set this path himself, by flag, environment or file."""
    return settings.origin(path) not in ("default", _STALE)


def child_environment(settings: Settings, gives: Mapping[str, object]) -> dict[str, str]:
    """Environment variables by which a child loads exactly these settings."""
    spoken = {variable(path) for path, origin in settings.origins().items() if origin != _STALE}
    told = {key: value for key, value in environment(settings).items() if key in spoken}
    told |= {variable(path): _text(value) for path, value in gives.items()}
    return {
        **told,
        variable("data_dir"): str(settings.data_dir),
        variable("contracts_dir"): str(settings.contracts_dir),
    }


def variable(path: str) -> str:
    """`kafka.bootstrap` as `CAUDAL_KAFKA__BOOTSTRAP`."""
    return PREFIX + path.upper().replace(".", "__")


def _typed(settings: Settings, section: str, key: str, value: object) -> object:
    """Secrets stay secret: `model_copy` does not validate."""
    before = getattr(getattr(settings, section), key)
    return SecretStr(str(value)) if isinstance(before, SecretStr) else value


def _merged(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Tables within tables, with some leaves replaced."""
    found = dict(before)
    for name, value in values.items():
        found[name] = _merged(found.get(name, {}), value) if isinstance(value, Mapping) else value
    return found


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, list | dict | bool) else str(value)

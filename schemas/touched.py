"""What depends on a contract: dbt models, marts and with them the API, checks, features. Told by the files' text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from schemas.contract import Contract
from schemas.diff import Diff

# A model reads another one by `ref`, or what another group has published as a source.
_REF = re.compile(r"""(?:ref\(\s*['"]|source\(\s*['"]published['"]\s*,\s*['"]published_)(\w+)['"]""")


def touched(dbt: Path, features: Path, contract: Contract, found: Diff) -> dict[str, list[str]]:
    """In these folders: `models` and `marts` behind the contract's staging models, `columns` {model: …} as
    `model.column` where a changed column is named, `checks` (rules that change), `features` that read the contract.
    """
    models = {path.stem: path for path in sorted((dbt / "models").rglob("*.sql"))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in models.items()}
    behind = _behind(_readers(contract, texts), texts)
    changed = sorted({change.name for change in found.changes if change.kind == "column"})
    return {
        "models": behind,
        "marts": [name for name in behind if models[name].parent.name == "marts"],
        "columns": [f"{name}.{column}" for name in behind for column in changed if _names(texts[name], column)],
        "checks": [change.name for change in found.changes if change.kind == "rule"],
        "features": _features(features, contract),
    }


def _readers(contract: Contract, texts: Mapping[str, str]) -> list[str]:
    """The models that read the contract's tables themselves: staging, and what asks for their earlier state."""
    staging = (f"stg_{contract.table}", f"stg_{contract.history_table}")
    before = re.compile(rf"""source\(\s*['"]before['"]\s*,\s*['"]before_{contract.table}['"]""")
    return [name for name, text in texts.items() if name in staging or before.search(text)]


def _behind(readers: Iterable[str], texts: Mapping[str, str]) -> list[str]:
    """These models and all that refer to them, directly or through others."""
    found = list(readers)
    for name in found:
        found += [other for other, text in texts.items() if name in _REF.findall(text) and other not in found]
    return found


def _names(text: str, column: str) -> bool:
    return re.search(rf"\b{re.escape(column)}\b", text) is not None


def _features(folder: Path, contract: Contract) -> list[str]:
    specs: Iterable[Path] = sorted(folder.glob("*.yml"))
    return [path.stem for path in specs if contract.id in _strings(yaml.safe_load(path.read_text(encoding="utf-8")))]


def _strings(value: object) -> set[str]:
    if isinstance(value, Mapping):
        return set().union(*(_strings(one) for one in value.values()))
    if isinstance(value, list):
        return set().union(*(_strings(one) for one in value))
    return {value} if isinstance(value, str) else set()

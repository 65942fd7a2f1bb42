"""A copy of the dbt project with a few of its marts, because each mart of a cycle costs a test seconds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_REFS = re.compile(r"ref\('(\w+)'\)")


def with_marts(target: Path, wanted: Collection[str]) -> Path:
    """The project with these marts alone, and those intermediate models and checks that need no other."""
    shutil.copytree(ROOT / "dbt", target, ignore=shutil.ignore_patterns("target", "logs", "exposures"))
    models = {path.stem: path for path in (target / "models").rglob("*.sql")}
    needed: set[str] = set()
    todo = set(wanted)
    while todo:
        needed |= todo
        todo = {name for one in todo for name in _refs(models[one]) if name in models} - needed
    gone = {name for name, path in models.items() if name not in needed and path.parent.name != "staging"}
    for name in gone:
        models[name].unlink()
        models[name].with_suffix(".yml").unlink()
    for path in (target / "checks").glob("*.sql"):
        if gone & _refs(path):
            path.unlink()
    return target


def _refs(path: Path) -> set[str]:
    return set(_REFS.findall(path.read_text(encoding="utf-8")))

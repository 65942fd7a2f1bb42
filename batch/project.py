"""The working copy of the dbt project in the data folder, with sources and staging of the contracts known now."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from batch import staging
from batch.errors import ProjectError
from batch.settings import BatchSettings
from schemas.contract import Contract

GENERATED = Path("models") / "staging"
_STAGED = re.compile(r"ref\('(stg_\w+)'\)")
# What a person's own dbt leaves behind is no part of the project.
PASSED_OVER = ("target", "logs", "dbt_packages")


def source_dir(settings: BatchSettings) -> Path:
    """The dbt project that comes with Caudal, or the one the settings name. Raises ProjectError when there is none."""
    here = Path(__file__).resolve().parent.parent
    shipped = (here / "dbt", here / "caudal" / "local" / "project" / "dbt")
    choices = (settings.project_dir,) if settings.project_dir else shipped
    for choice in choices:
        if (choice / "dbt_project.yml").is_file():
            return choice
    raise ProjectError(
        "the dbt project is missing",
        where=str(choices[0]),
        fix="set batch.project_dir to a folder with a dbt_project.yml",
    )


def needed(source: Path) -> frozenset[str]:
    """The staging models that the project's own models read; without their contracts it cannot be parsed."""
    found: set[str] = set()
    for path in (source / "models").rglob("*.sql"):
        if path.parent != source / GENERATED:
            found.update(_STAGED.findall(path.read_text(encoding="utf-8")))
    return frozenset(found)


def sync(source: Path, target: Path, gold_root: str, contracts: Iterable[Contract]) -> str:
    """Make `target` the project for these contracts and return a digest of all its files.

    Only files that differ are written, and files that are no longer wanted are removed, so that dbt's partial parsing
    stays worth something. `gold_root` is Spark's address of the marts' folder.
    """
    wanted: dict[Path, bytes] = {}
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and relative.parts[0] not in PASSED_OVER and not _is_generated(relative):
            wanted[relative] = path.read_bytes()
    for name, text in staging.files(contracts).items():
        wanted[GENERATED / name] = text.encode()
    wanted[Path("dbt_project.yml")] = _placed(wanted[Path("dbt_project.yml")], gold_root)
    for relative, data in wanted.items():
        _write(target / relative, data)
    for path in sorted(target.rglob("*")) if target.is_dir() else []:
        relative = path.relative_to(target)
        if path.is_file() and relative.parts[0] not in PASSED_OVER and relative not in wanted:
            path.unlink()
    digest = hashlib.sha256()
    for relative in sorted(wanted):
        digest.update(str(relative).encode() + b"\0" + wanted[relative] + b"\0")
    return digest.hexdigest()


def _is_generated(relative: Path) -> bool:
    return relative.parent == GENERATED


def _placed(project_file: bytes, gold_root: str) -> bytes:
    document = yaml.safe_load(project_file)
    document["vars"] = {**document.get("vars", {}), "gold_root": gold_root}
    return yaml.safe_dump(document, sort_keys=False).encode()


def _write(path: Path, data: bytes) -> None:
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    os.replace(temporary, path)

"""The installed dbt package extends its path with our `dbt/` folder; these rules keep the two apart."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from schemas.load import load_catalog
from schemas.tables import silver_columns

ROOT = Path(__file__).resolve().parents[3]
DBT = ROOT / "dbt"
# Folders of the installed package that one of ours with the same name would extend.
TAKEN = {"adapters", "include", "cli", "plugins", "tests"}


def test_dbt_holds_no_python() -> None:
    """dbt would parse a Python file as a model, and pytest would import it as a fake `dbt`."""
    assert sorted(str(path) for path in DBT.rglob("*.py")) == []


def test_dbt_has_no_folder_of_the_installed_package() -> None:
    """A folder called like one of dbt's own would be merged into it."""
    assert set() == TAKEN & {path.name for path in DBT.iterdir() if path.is_dir()}


def test_nothing_at_the_top_looks_like_a_dbt_plugin() -> None:
    """dbt imports and runs every top-level module whose name begins with `dbt_`."""
    assert sorted(path.name for path in ROOT.glob("dbt_*")) == []


def test_no_module_is_called_dbt() -> None:
    """A module `dbt` of ours would hide the installed one."""
    packages = ("caudal", "schemas", "privacy", "producers", "streaming", "quality", "batch", "serving", "tests")
    assert sorted(str(path) for name in packages for path in (ROOT / name).rglob("dbt.py")) == []


def test_tests_are_no_packages() -> None:
    """A package below tests/ would shadow the code under test."""
    assert sorted(str(path) for path in (ROOT / "tests").rglob("__init__.py")) == []


def test_no_personal_column_reaches_a_mart_but_the_declared_masks() -> None:
    """A model above staging names no column that a contract tags as personal, unless its mart declares it as a mask."""
    catalog = load_catalog(ROOT / "schemas" / "contracts")
    personal = {c.name for one in catalog.values() for c in silver_columns(one) if c.role in ("mask", "token")}
    named = {path.stem: personal & set(re.findall(r"\w+", _code(path))) for path in _models("marts", "intermediate")}
    declared = {
        (model["name"], column["name"])
        for path in (DBT / "models" / "marts").glob("*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])
        for column in model["columns"]
        if column.get("config", {}).get("meta", {}).get("mask")
    }
    assert {(model, name) for model, names in named.items() for name in names} == declared
    assert declared == {("dim_customers", "customer_name"), ("dim_customers", "customer_email")}


def test_a_mart_that_computes_something_has_a_unit_test() -> None:
    """Aggregates, cases and windows are tested beside the model; a mart that only names columns needs none."""
    logic = re.compile(r"\bgroup by\b|\bcase\b|\bover \(|\bunion\b|\bjoin\b", re.IGNORECASE)
    for path in _models("marts", "intermediate"):
        if logic.search(_code(path)):
            document = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))
            assert document.get("unit_tests"), path.name


def _models(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((DBT / "models" / folder).glob("*.sql"))]


def _code(path: Path) -> str:
    """A model's SQL without its comments."""
    return re.sub(r"--.*", "", path.read_text(encoding="utf-8"))

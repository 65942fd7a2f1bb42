"""The installed dbt package extends its path with our `dbt/` folder; these rules keep the two apart."""

from __future__ import annotations

from pathlib import Path

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

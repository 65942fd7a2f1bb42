"""The working copy follows the project and the contracts, and touches no file that stays the same."""

from __future__ import annotations

from pathlib import Path

import yaml

from batch import project
from batch.settings import BatchSettings
from schemas.load import load_catalog

ROOT = Path(__file__).resolve().parents[3]


def test_the_copy_has_the_gold_address_and_the_contracts_staging(tmp_path: Path) -> None:
    """Marts land in this install's lake, and staging is that of the contracts known now."""
    source = project.source_dir(BatchSettings())
    catalog = load_catalog(ROOT / "schemas" / "contracts")
    order = [catalog["commerce.order"]]
    project.sync(source, tmp_path, "s3a://bucket/lake/gold", order)
    configured = yaml.safe_load((tmp_path / "dbt_project.yml").read_text(encoding="utf-8"))
    assert configured["vars"]["gold_root"] == "s3a://bucket/lake/gold"
    staged = sorted(path.name for path in (tmp_path / "models" / "staging").iterdir())
    assert staged == ["_sources.yml", "stg_commerce_order.sql"]


def test_a_second_sync_changes_nothing_and_a_stray_file_goes(tmp_path: Path) -> None:
    """The digest tells whether dbt must parse again; what is no part of the project is removed."""
    source = project.source_dir(BatchSettings())
    catalog = load_catalog(ROOT / "schemas" / "contracts")
    first = project.sync(source, tmp_path, "gold", catalog.values())
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.sql")}
    (tmp_path / "models" / "marts" / "stray.sql").write_text("select 1", encoding="utf-8")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept.json").write_text("{}", encoding="utf-8")
    assert first == project.sync(source, tmp_path, "gold", catalog.values())
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.sql")}
    assert (tmp_path / "target" / "kept.json").exists()


def test_the_contracts_that_the_marts_need_are_known() -> None:
    """Parsing waits until each of these contracts has arrived."""
    needed = project.needed(project.source_dir(BatchSettings()))
    assert {"stg_commerce_order", "stg_payments_transaction", "stg_fraud_decision"} <= needed
    assert "stg_caudal_rejected" not in needed

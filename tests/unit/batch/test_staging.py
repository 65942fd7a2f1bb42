"""Sources and staging models are what the contracts say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from batch import pins, staging
from schemas.contract import Catalog
from schemas.load import load_catalog

ROOT = Path(__file__).resolve().parents[3]
COMMITTED = ROOT / "dbt" / "models" / "staging"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(ROOT / "schemas" / "contracts")


def test_the_committed_models_are_those_of_the_contracts(catalog: Catalog) -> None:
    """Nobody edits generated models, and nobody changes a contract without them: run `caudal batch staging`."""
    found = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}
    assert staging.files(catalog.values()) == found


def test_no_token_reaches_staging(catalog: Catalog) -> None:
    """Tokens, digests and coordinates stay in silver."""
    for table in pins.tables(catalog.values()):
        names = {column.name for column in staging.staged_columns(table)}
        assert not names & {"_sealed", "_topic", "_partition", "_offset"}, table.name


def test_masks_of_erased_people_are_emptied(catalog: Catalog) -> None:
    """Each mask of a contract with a subject is null for refs on the erased list."""
    contract = catalog["commerce.customer"]
    text = staging.model(contract, pins.tables([contract])[0])
    for name in ("customer_email", "customer_name", "customer_phone", "address"):
        assert f"if(erased.subject_ref is null, source.{name}, null) as {name}" in text


def test_every_staging_model_has_a_tenant(catalog: Catalog) -> None:
    """Whatever the contract calls its tenant, models find `tenant_id`."""
    for contract in catalog.values():
        for table in pins.tables([contract]):
            names = {column.name for column in staging.staged_columns(table)}
            text = staging.model(contract, table)
            assert "tenant_id" in names or f"source.{contract.tenant} as tenant_id" in text


def test_a_history_is_staged_with_its_times_and_without_erased_masks(catalog: Catalog) -> None:
    """Every version of a row is as personal as the row."""
    text = staging.files(catalog.values())["stg_payments_account_history.sql"]
    assert "source('pinned', 'payments_account_history')" in text
    assert "if(erased.subject_ref is null, source.holder_name, null) as holder_name" in text
    assert "source._valid_to" in text


def test_a_further_contract_brings_its_source_and_model(catalog: Catalog) -> None:
    """A ninth contract needs nothing but itself."""
    ninth = replace(catalog["commerce.refund"], id="commerce.voucher")
    files = staging.files([*catalog.values(), ninth])
    tables = yaml.safe_load(files["_sources.yml"])["sources"][0]["tables"]
    assert "stg_commerce_voucher.sql" in files
    assert "commerce_voucher" in {table["name"] for table in tables}

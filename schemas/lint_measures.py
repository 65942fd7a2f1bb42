"""Measures of many rows: only of what silver has as a number, and never of a personal field."""

from collections.abc import Iterator

from schemas import rules
from schemas.contract import Contract
from schemas.lint import Finding, at_key

_NUMBERS = ("long", "double", "decimal")


def findings(contract: Contract) -> Iterator[Finding]:
    """Measures that have no meaning, or would tell something about a person."""
    kinds = rules.columns(contract)
    for measure in contract.measures:
        if not measure.field:
            continue
        kind = kinds[measure.field].name if measure.field in kinds else ""
        if kind == "sealed" and measure.metric != "nulls":
            message = f"measure {measure.code} is of the personal field `{measure.field}`"
            yield at_key(contract, "quality", "PII", message, "a personal field can only be asked for `nulls`")
        elif measure.metric not in ("nulls", "known") and kind not in _NUMBERS:
            message = f"measure {measure.code} needs a number, and `{measure.field}` is none"
            yield at_key(contract, "quality", "RULE", message, "choose a numeric field")
        if measure.field in contract.except_column_list:
            message = f"measure {measure.code} is of `{measure.field}`, which silver does not store"
            yield at_key(contract, "quality", "RULE", message, "store the field, or leave the measure out")

"""Lists of columns (AUTO CDC's names): what silver leaves out, and what starts a new version in the history."""

from collections.abc import Iterator

from schemas import read, rule_tree, rules
from schemas.contract import Contract
from schemas.errors import ContractError
from schemas.lint import Finding, at_key
from schemas.tracked import bookkeeping, tracked_columns

_EXCEPT, _ONLY, _BUT = read.COLUMN_LISTS


def findings(contract: Contract) -> Iterator[Finding]:
    """Lists that have no meaning here, or that leave out what somebody needs."""
    given = [name for name in read.COLUMN_LISTS if getattr(contract, name)]
    if contract.mode != "cdc":
        for name in given:
            message = f"`{name}` is for change records"
            yield at_key(contract, name, "KEY", message, "leave it out, or use mode: cdc")
        return
    needed = {*bookkeeping(contract)} - {"_source"}
    for name in (_EXCEPT, _ONLY):
        for field in getattr(contract, name):
            if field in needed:
                message = f"`{field}` says which row or which change a record is"
                yield at_key(contract, name, "FIELD", message, f"take it out of `{name}`")
    yield from _rules(contract)
    yield from _history(contract, [name for name in given if name != _EXCEPT])


def _rules(contract: Contract) -> Iterator[Finding]:
    for rule in contract.quality:
        try:
            read_by = rule_tree.columns(rules.parse(rule, contract))
        except ContractError:
            continue
        for field in sorted(read_by & {*contract.except_column_list}):
            message = f"rule {rule.code} reads `{field}`, which silver does not store"
            yield at_key(contract, _EXCEPT, "RULE", message, "store the field, or leave the rule out")


def _history(contract: Contract, given: list[str]) -> Iterator[Finding]:
    if not given:
        return
    if not contract.history:
        yield at_key(contract, given[0], "KEY", f"`{given[0]}` needs a history", "history: true")
    if len(given) > 1:
        message = "a history is told either what counts or what does not"
        yield at_key(contract, given[1], "KEY", message, f"keep one of `{_ONLY}` and `{_BUT}`")
    if not tracked_columns(contract):
        yield at_key(contract, given[0], "KEY", "no column is left whose change starts a version", "leave it out")
    if contract.ignore_null_updates:
        message = "the history keeps partial changes as they came, so none of them tells whether a column changed"
        yield at_key(contract, given[0], "KEY", message, "leave out one of it and `ignore_null_updates`")
    for field in contract.track_history_column_list:
        if field in contract.except_column_list:
            message = f"`{field}` is not stored, so nobody can tell whether it changed"
            yield at_key(contract, _ONLY, "FIELD", message, "take it out of one of the lists")

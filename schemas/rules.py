"""Row rules: SQL boolean expressions of a small grammar, judged alike by publisher, scorer, silver and quality gate.

A rule speaks of the newest version's top-level fields, of subject_ref and of the contract's refs. Null (a field it
reads is unknown) passes, unless the rule says `nulls: fail`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas import rule_parse, rule_python, rule_spark, rule_tree, sparktype, tables, wire
from schemas.avro import validate
from schemas.contract import Contract, Rule
from schemas.errors import ContractError
from schemas.rule_tree import Node, RuleInvalid, Type
from schemas.sparktype import Leaf, NoSparkType

_LEAVES = {
    "BIGINT": rule_tree.LONG,
    "DOUBLE": rule_tree.DOUBLE,
    "STRING": rule_tree.STRING,
    "BOOLEAN": rule_tree.BOOLEAN,
    "TIMESTAMP": Type("timestamp"),
    "DATE": Type("date"),
}


def parse(rule: Rule, contract: Contract) -> Node:
    """The tree of a rule. Raises ContractError, pointing at the contract's file, when it is outside the grammar."""
    try:
        return rule_parse.parse(rule.rule, columns(contract))
    except RuleInvalid as error:
        raise ContractError(
            "RULE",
            f"rule {rule.code} of {contract.id} cannot be used: {error}",
            file=contract.source_dir / "contract.yml" if contract.source_dir else None,
            why=f"it reads `{rule.rule}`",
            fix=f"the grammar: {rule_parse.GRAMMAR}",
        ) from error


def compile_python(rule: Rule, contract: Contract) -> Callable[[Mapping[str, object]], bool]:
    """A function that says whether a row passes. Rows hold contract values or wire values; missing means null."""
    evaluate = rule_python.compile_(parse(rule, contract))
    unknown = rule.nulls == "pass"

    def passes(row: Mapping[str, object]) -> bool:
        verdict = evaluate(row)
        return unknown if verdict is None else bool(verdict)

    return passes


def compile_spark(rule: Rule, contract: Contract) -> str:
    """A Spark SQL boolean over silver's column names: true where a row passes, never null."""
    names = {column.field: column.name for column in tables.silver_columns(contract) if column.field and column.live}
    unknown = "TRUE" if rule.nulls == "pass" else "FALSE"
    return f"coalesce({rule_spark.compile_(parse(rule, contract), names)}, {unknown})"


def columns(contract: Contract) -> dict[str, Type]:
    """What a rule of this contract may speak of, with types."""
    avsc = contract.latest.avsc
    names = validate(avsc)
    found = {item["name"]: _type(item, names, avsc.get("namespace")) for item in avsc["fields"]}
    refs = (wire.SUBJECT_REF, *wire.ref_columns(contract.refs))
    return {**found, **{name: rule_tree.STRING for name in refs}}


def _type(item: Mapping[str, Any], names: Mapping[str, Any], space: str | None) -> Type:
    if "pii" in item:
        return Type("sealed")
    try:
        kind = sparktype.of(item["type"], names, space)
    except NoSparkType:
        return Type("other")
    if not isinstance(kind, Leaf):
        return Type("other")
    if kind.name.startswith("DECIMAL"):
        precision, scale = kind.name.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return Type("decimal", int(precision), int(scale))
    return _LEAVES.get(kind.name, Type("other"))

"""Types: what tables, keys and readers can hold."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas import sparktype, tables, wire
from schemas.avro import validate
from schemas.contract import Contract, Version, is_nullable
from schemas.lint import Finding, at_field
from schemas.sparktype import NoSparkType

_MONEY_WORDS = {"amount", "price", "total", "balance", "fee", "tax", "cost", "refund", "subtotal", "discount"}
WORKING = frozenset(
    (
        "_after", "_all", "_at", "_base", "_best", "_bytes", "_code", "_copies", "_counts", "_cut", "_cuts",
        "_decoded", "_e", "_erased", "_failed", "_file", "_first", "_goes_on", "_gone", "_h", "_mark", "_met",
        "_mine", "_n", "_new", "_newest", "_next", "_now", "_o", "_own", "_p", "_path", "_place", "_prior", "_rank",
        "_rec", "_run", "_s", "_seen", "_state", "_sum", "_swept", "_t", "_there", "_truncates", "_was",
        "_was_current", "_was_valid_from", "_was_valid_to",
    )
)  # fmt: skip
"""Columns that stand beside a contract's own while records are on their way to silver."""
_RESERVED_TYPES = (wire.SEALED, wire.ORIGIN)


def findings(contract: Contract) -> Iterator[Finding]:
    """Fields without a column, names that Spark would mix up, money in floats, defaults that old readers refuse."""
    for version in contract.versions:
        names = validate(version.avsc)
        for name in _RESERVED_TYPES:
            if name in names:
                message = f"the type name `{name}` belongs to the wire schema"
                yield at_field(
                    contract, version.number, name.rpartition(".")[2], "NAME", message, "choose another name"
                )
        yield from _names(contract, version)
        for item in version.avsc["fields"]:
            yield from _field(contract, version, item, names)


def _names(contract: Contract, version: Version) -> Iterator[Finding]:
    own = (*tables.SILVER_META, tables.DELETED_AT, *tables.HISTORY_META)
    taken = {*(column.name for column in own), tables.SET_BY, *WORKING}
    seen: dict[str, str] = {}
    for item in version.avsc["fields"]:
        name = item["name"]
        other = seen.setdefault(name.lower(), name)
        if other != name:
            message = f"`{name}` and `{other}` differ in case only; Spark takes them for one column"
            yield at_field(contract, version.number, name, "NAME", message, "give one of them another name")
        if name in taken:
            message = f"`{name}` is a column that every silver table has already, or that is worked with on the way"
            yield at_field(contract, version.number, name, "NAME", message, "give the field another name")
        if "__v" in name:
            message = f"`{name}`: names with `__v` are kept for fields whose type changed"
            yield at_field(contract, version.number, name, "NAME", message, "give the field another name")


def _field(contract: Contract, version: Version, item: dict[str, Any], names: Mapping[str, Any]) -> Iterator[Finding]:
    name, kind = item["name"], item["type"]
    try:
        column = sparktype.of(kind, names, version.avsc.get("namespace"))
    except NoSparkType as error:
        yield at_field(contract, version.number, name, "TYPE", f"`{name}`: {error}", "choose another type")
        return
    if is_nullable(kind):
        if "default" not in item:
            message = f"`{name}` may be null and has no default, so it can never be left out"
            yield at_field(contract, version.number, name, "TYPE", message, 'add "default": null', warn=True)
        elif item["default"] is None and isinstance(kind, list) and kind[0] != "null":
            message = f"`{name}`: the default null belongs to the first arm of the union"
            yield at_field(contract, version.number, name, "TYPE", message, 'write ["null", …]')
    if column.sql() == "DOUBLE" and _MONEY_WORDS & set(name.lower().split("_")):
        message = f"`{name}` looks like money and is a float; cents would get lost"
        fix = '{"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}'
        yield at_field(contract, version.number, name, "TYPE", message, fix, warn=True)

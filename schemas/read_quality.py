"""The `quality` part of a contract: row rules, and measures of many rows."""

import re
from typing import Any

from schemas.contract import Measure, Rule
from schemas.document import Document, Place

_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_METRIC = re.compile(r"rowCount|mean|nulls|known|p[1-9][0-9]?")
_BOUNDS = ("mustBeBetween", "mustBeGreaterOrEqualTo", "mustBeLessOrEqualTo")


def rules(doc: Document) -> tuple[Rule, ...]:
    """The row rules: entries with a `rule`. Raises ContractError."""
    found: list[Rule] = []
    for place in _entries(doc):
        if "metric" not in doc.section(place):
            doc.check_keys(place, ("code", "rule"), ("on_fail", "nulls"))
            found.append(
                Rule(
                    _code(doc, place),
                    doc.text(*place, "rule"),
                    doc.choice((*place, "on_fail"), ("reject", "warn"), "reject"),
                    doc.choice((*place, "nulls"), ("pass", "fail"), "pass"),
                )
            )
    return tuple(found)


def measures(doc: Document) -> tuple[Measure, ...]:
    """The measures: entries with a `metric`. Raises ContractError."""
    return tuple(_measure(doc, place) for place in _entries(doc) if "metric" in doc.section(place))


def mentions(doc: Document) -> list[tuple[Place, str]]:
    """Fields that measures name, with their places."""
    places = [(*place, "field") for place in _entries(doc)]
    return [(place, str(doc.at(place))) for place in places if doc.at(place) is not None]


def record(measure: Measure) -> dict[str, Any]:
    """The YAML form of a measure; `measures` of it gives the same measure again."""
    out: dict[str, Any] = {"code": measure.code, "metric": measure.metric, "field": measure.field, "of": measure.of}
    out |= {"mustBeGreaterOrEqualTo": measure.low, "mustBeLessOrEqualTo": measure.high}
    out |= {"steady": measure.steady or None, "min_rows": measure.min_rows, "on_fail": measure.on_fail}
    return {name: value for name, value in out.items() if value not in (None, "")}


def _entries(doc: Document) -> list[Place]:
    return [("quality", index) for index in range(len(doc.list("quality")))]


def _code(doc: Document, place: Place) -> str:
    code = doc.text(*place, "code")
    others = [doc.at((*other, "code")) for other in _entries(doc) if other < place]
    if not _CODE.fullmatch(code) or code in others:
        raise doc.error(
            "RULE", f"`{code}` is no code of its own", (*place, "code"), fix="use A-Z, 0-9 and _, each code once"
        )
    return code


def _measure(doc: Document, place: Place) -> Measure:
    doc.check_keys(place, ("code", "metric"), ("field", "of", *_BOUNDS, "steady", "min_rows", "on_fail"))
    given = doc.section(place)
    metric = doc.text(*place, "metric")
    if not _METRIC.fullmatch(metric):
        fix = "one of: rowCount, mean, nulls, known, p1 to p99"
        raise doc.error("VALUE", f"`metric` cannot be `{metric}`", (*place, "metric"), fix=fix)
    if (metric == "rowCount") == ("field" in given):
        raise doc.error("VALUE", "every metric but rowCount is of one field", place, fix="field: total")
    of = doc.text(*place, "of") if "of" in given else ""
    if (metric == "known") != (of.count(".") == 2):
        raise doc.error("VALUE", "`known` says of what", place, fix="of: commerce.order.order_id")
    low, high = _bounds(doc, place)
    steady = doc.number(*place, "steady") if "steady" in given else 0.0
    if low is None and high is None and steady <= 0:
        raise doc.error("VALUE", "a measure has bounds", place, fix="mustBeBetween: [0, 1], or steady: 6")
    return Measure(
        _code(doc, place),
        metric,
        doc.text(*place, "field") if "field" in given else "",
        low,
        high,
        steady,
        of,
        int(doc.number(*place, "min_rows")) if "min_rows" in given else 100,
        doc.choice((*place, "on_fail"), ("reject", "warn"), "warn"),
    )


def _bounds(doc: Document, place: Place) -> tuple[float | None, float | None]:
    given = doc.section(place)
    if "mustBeBetween" in given:
        both = (*place, "mustBeBetween")
        if len(doc.list(*both)) != 2 or doc.number(*both, 0) > doc.number(*both, 1):
            raise doc.error("VALUE", "`mustBeBetween` holds the lower and the upper bound", both, fix="[0, 100]")
        return doc.number(*both, 0), doc.number(*both, 1)
    low, high = (doc.number(*place, name) if name in given else None for name in _BOUNDS[1:])
    return low, high

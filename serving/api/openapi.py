"""What FastAPI cannot see of the gold routes: their parameters, bodies, formats and errors, for the description."""

from __future__ import annotations

from typing import Any

from serving.api.answer import TYPES
from serving.api.ask import Body

PARAMETERS = {
    "limit": "rows of a page",
    "cursor": "next_cursor of the page before",
    "columns": "columns to show, separated by commas",
    "order": "columns of the answer to order by, separated by commas; a leading - turns one around",
    "group": "columns to group by, separated by commas; of a time also `column.day` (hour, day, week, month)",
    "measures": "`count`, `sum.column`, avg, min, max, distinct, separated by commas",
    "time": "column of the time range; else the mart's first time, or date",
    "from": "first moment of the time range (ISO 8601)",
    "to": "first moment after it",
    "format": "json, csv, parquet or arrow; else what Accept says",
}
FACTS = {
    "type": "object",
    "required": ["code", "what", "retryable"],
    "properties": {
        "code": {"type": "string", "description": "stable; the runbook has a section for each"},
        **{name: {"type": "string"} for name in ("what", "where", "why", "fix")},
        "retryable": {"type": "boolean"},
    },
}
PAGE = {
    "type": "object",
    "required": ["table", "version", "age_s", "rows", "next_cursor"],
    "properties": {
        "table": {"type": "string"},
        "version": {"type": "integer", "description": "published Delta version that the rows come from"},
        "age_s": {"type": "number", "description": "seconds since that version was published"},
        "rows": {"type": "array", "items": {"type": "object"}},
        "next_cursor": {"type": ["string", "null"]},
        "smallest_cell": {"type": "integer", "description": "tenants behind each row of an aggregate across tenants"},
    },
}
_SAID = {
    "400": "a parameter does not fit",
    "401": "no valid token",
    "403": "the token's role may not",
    "404": "no such object for this token",
    "413": "more than one answer or question may hold",
    "429": "above a rate or quota; see Retry-After",
    # listed, because FastAPI would else describe a 422 that nobody sends
    "default": "whatever else went wrong, in the same shape",
    "503": "not published yet, or storage is away; see Retry-After",
}


def errors(*more: str) -> dict[int | str, dict[str, Any]]:
    """The coded answers of a route that needs a token, and `more` statuses."""
    content = {"application/json": {"schema": FACTS}}
    statuses = sorted({"401", "403", "429", "default", *more})
    return {status: {"description": _SAID[status], "content": content} for status in statuses}


def page() -> dict[int | str, dict[str, Any]]:
    """The answers of a route that gives a page of rows, in every format."""
    binary = {media.split(";")[0]: {"schema": {"type": "string", "format": "binary"}} for media in TYPES.values()}
    tag = {name: {"schema": {"type": "string"}} for name in ("ETag", "X-Caudal-Version", "X-Caudal-Age-S")}
    found = {"description": "a page", "headers": tag, "content": {**binary, "application/json": {"schema": PAGE}}}
    return {"200": found, "304": {"description": "the caller has this version"}, **errors("400", "413", "503")}


def events() -> dict[int | str, dict[str, Any]]:
    """The answers of a route that gives server-sent events."""
    return {"200": {"description": "events", "content": {"text/event-stream": {}}}, **errors("400", "503")}


def parameters() -> dict[str, Any]:
    """The parameters of a page that are no filter."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in PARAMETERS.items()
        ]
    }


def body() -> dict[str, Any]:
    """The body of a query."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inline()}}}}


def _inline() -> dict[str, Any]:
    """The body's schema without references, because a route's own part of the description has no place for them."""
    schema = Body.model_json_schema()
    parts = schema.pop("$defs", {})

    def put_in(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return put_in(parts[node["$ref"].rsplit("/", 1)[1]])
            return {key: put_in(value) for key, value in node.items()}
        return [put_in(value) for value in node] if isinstance(node, list) else node

    found: dict[str, Any] = put_in(schema)
    return found

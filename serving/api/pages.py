"""One answer from published gold: a page of rows or of an aggregate, in the format that the caller wants."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from fastapi import Response
from fastapi.responses import JSONResponse

from caudal.tokens import Principal
from serving.api import answer
from serving.api.ask import Ask, Format
from serving.api.cursor import Cursors, Place, binding
from serving.api.errors import BadQuery, NotThere, TooLarge
from serving.api.gold import Mart, Reader
from serving.api.query import Bounds, Query, plan
from serving.api.scope import select
from serving.api.settings import ApiSettings
from serving.api.status import age_s


@dataclass(frozen=True)
class Wanted:
    """What the request's headers say: the format of the answer, and the tags that the caller holds already."""

    form: Format
    tags: frozenset[str]

    @classmethod
    def of(cls, ask: Ask, accept: str, if_none_match: str) -> Wanted:
        """From the headers Accept and If-None-Match; a format that the question names goes first."""
        tags = frozenset(tag.strip() for tag in if_none_match.split(",") if tag.strip())
        return cls(answer.chosen(ask.format, accept), tags)


class Pages:
    """Answers questions about marts."""

    def __init__(self, reader: Reader, limits: ApiSettings) -> None:
        self._reader, self._limits = reader, limits
        self._cursors = Cursors(limits.cursor_key.get_secret_value())

    def page(self, who: Principal, mart: str, ask: Ask, wanted: Wanted) -> Response:
        """A page of the rows of `who`, all pages of a walk from the version that its first page came from.

        Raises NotPublished, BadQuery, TooLarge, and TransientError when storage is away.
        """
        found, now = self._reader.current().mart(mart), time.time()
        place = self._place(who, found, ask, now)
        tag = found.etag if place.version == found.version else f'W/"{mart}.{place.version}"'
        headers = told(tag, place.version, age_s(place.published_ms, now))
        if tag in wanted.tags:
            return Response(status_code=304, headers=headers)
        relation = self._reader.open(place.path, place.version, found.table_id if place.path == found.path else "")
        bounds = self._bounds(who, wanted.form, aggregate=bool(ask.group or ask.measures))
        query = plan(ask, self._reader.columns(relation), bounds, offset=place.offset)
        rows = select(relation, who.tenant, query.sql(extra=1), self._limits.max_answer_mib * 2**20)
        following = self._following(place, query) if rows.num_rows > query.limit else None
        rows = rows.slice(0, query.limit)
        headers["X-Caudal-Rows"] = str(rows.num_rows)
        if following:
            headers["X-Caudal-Next-Cursor"] = following
        if wanted.form != "json":
            return Response(answer.written(rows, wanted.form), media_type=answer.TYPES[wanted.form], headers=headers)
        body = {
            "table": mart,
            "version": place.version,
            "age_s": age_s(place.published_ms, now),
            "rows": answer.rows(rows),
            "next_cursor": following,
        }
        if query.having:
            body["smallest_cell"] = bounds.cell
        return JSONResponse(body, headers=headers)

    def row(self, who: Principal, mart: str, ask: Ask) -> Response:
        """The one row that `ask` selects. Raises NotThere without a row, BadQuery when there are several."""
        found, now = self._reader.current().mart(mart), time.time()
        relation = self._reader.open(found.path, found.version, found.table_id)
        query = plan(ask, self._reader.columns(relation), Bounds(2, 2))
        rows = answer.rows(select(relation, who.tenant, query.sql()))
        if not rows:
            raise NotThere
        if len(rows) > 1:
            raise BadQuery("more than one row has this value", fix=f"GET /v1/gold/{found.name}?column=…")
        age = age_s(found.published_ms, now)
        body = {"table": found.name, "version": found.version, "age_s": age, "row": rows[0]}
        return JSONResponse(body, headers=told(found.etag, found.version, age))

    def _place(self, who: Principal, mart: Mart, ask: Ask, now: float) -> Place:
        bound = binding(who.tenant, [("ask", ask.bound())])
        if ask.cursor:
            return self._cursors.read(ask.cursor, mart=mart.name, bound=bound, now=now)
        return Place(mart.name, mart.path, mart.version, mart.published_ms, 0, bound, now + self._limits.cursor_s)

    def _bounds(self, who: Principal, form: Format, *, aggregate: bool) -> Bounds:
        most = self._limits.max_limit if form == "json" else self._limits.max_columnar_limit
        cell = self._limits.smallest_cell if aggregate and who.tenant is None else 0
        return Bounds(self._limits.default_limit, most, cell)

    def _following(self, place: Place, query: Query) -> str:
        offset = place.offset + query.limit
        if offset > self._limits.max_offset:
            raise TooLarge(
                "the walk is too long",
                why=f"more than {self._limits.max_offset} rows",
                fix="narrow it by a filter or a time range",
            )
        return self._cursors.write(replace(place, offset=offset))


def told(tag: str, version: int, age: float) -> dict[str, str]:
    """The headers that every answer from gold carries: its version, and that version's age in seconds."""
    return {"ETag": tag, "X-Caudal-Version": str(version), "X-Caudal-Age-S": str(age)}

"""What a page asks for when somebody looks closer: rows of a mart, the road of one event, dead letters one by one.

Rows come through the API's own functions, for the session's principal, so that the page can show nothing that the same
operator could not ask the API for.
"""

from __future__ import annotations

from typing import Any, Protocol

from fastapi import Response
from fastapi.responses import JSONResponse

from caudal.tokens import Principal
from serving.api import answer
from serving.api.ask import from_parameters
from serving.api.errors import BadQuery, NotThere
from serving.api.gold import Reader
from serving.api.pages import Pages, Wanted
from serving.dashboard.trail import Trails, keys

MOST_LETTERS = 100


class Letters(Protocol):
    """Reads quarantine. Lives with streaming, whose tables these are; the web process hands it in."""

    def listed(self, where: dict[str, str], limit: int) -> list[dict[str, Any]]:
        """The newest letters of a contract, code and path (each optional), with their coordinates."""

    def explained(self, topic: str, partition: int, offset: int) -> dict[str, Any] | None:
        """All that is known of one letter, no value among it; None when nothing was refused there."""


class Look:
    """Answers the page's questions."""

    def __init__(self, reader: Reader, pages: Pages, trails: Trails, letters: Letters | None) -> None:
        self._reader, self._pages, self._trails, self._letters = reader, pages, trails, letters

    def mart(self, name: str) -> Response:
        """The columns of a mart with their kinds, and by which of them a row leads to its road."""
        found = self._reader.current().mart(name)
        table = self._reader.open(found.path, found.version, found.table_id)
        columns = {column.name: column.kind for column in self._reader.columns(table)}
        return JSONResponse({"mart": name, "group": found.group, "columns": columns, "road": keys(name)})

    def rows(self, who: Principal, mart: str, parameters: list[tuple[str, str]]) -> Response:
        """A page of the mart's rows, asked for as the API's `GET /v1/gold/{mart}` is."""
        ask = from_parameters([*parameters, ("format", "json")])
        return self._pages.page(who, mart, ask, Wanted("json", frozenset()))

    def road(self, who: Principal, mart: str, tenant: str, value: str) -> Response:
        """The road of the event behind one row. A tenant's operator sees that tenant's rows only."""
        if who.tenant not in (None, tenant):
            raise NotThere
        return JSONResponse({"mart": mart, "hops": self._trails.of(mart, tenant, value)})

    def letters(self, where: dict[str, str]) -> Response:
        """The newest dead letters of a group."""
        found = self._quarantine().listed(where, MOST_LETTERS)
        return JSONResponse({"letters": answer.value(found)})

    def letter(self, coordinates: str) -> Response:
        """What is known of one dead letter."""
        topic, _, rest = coordinates.partition(":")
        partition, _, offset = rest.partition(":")
        if not (topic and _number(partition) and _number(offset)):
            raise BadQuery("these are no coordinates", fix="topic:partition:offset")
        found = self._quarantine().explained(topic, int(partition), int(offset))
        if found is None:
            raise NotThere
        return JSONResponse(answer.value(found))

    def _quarantine(self) -> Letters:
        if self._letters is None:
            raise NotThere("this process cannot read dead letters", fix="caudal deadletters list")
        return self._letters


def _number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 19

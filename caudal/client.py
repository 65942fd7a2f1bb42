"""A typed client of the API: pages as iterators, aggregates, Arrow tables, streams that resume.

    with Client("http://127.0.0.1:8080", token) as gold:
        for row in gold.rows("fct_orders", where={"status": "paid", "total.gte": 100}, order=["-updated_at"]):
            ...

Errors are drawn below. Requests that may be sent again (429, 503, a connection lost before an answer) are, after the
time that the server says, up to `retries` times.

    ClientError                 code, what, where, why, fix, status
    ├── BadRequest              400, 413: the question does not fit; `fix` names the nearest that would
    ├── Unauthorized            401, 403: no token, or not for this
    ├── NotFound                404
    └── Unavailable             429, 5xx, or no answer: `retry_after` seconds
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx2

from caudal.errors import CaudalError, TransientError

if TYPE_CHECKING:
    import pyarrow

Value = str | int | float | bool
Row = dict[str, Any]
# What an answer asks us to wait, at most: a quota may be away for hours.
LONGEST_WAIT_S = 30.0


class ClientError(CaudalError):
    """An answer that is an error. `status` is the HTTP status, 0 when there was no answer."""

    status = 0


class BadRequest(ClientError):
    """The question does not fit."""


class Unauthorized(ClientError):
    """No valid token, or one whose role may not do this."""


class NotFound(ClientError):
    """No such object for this token."""


class Unavailable(ClientError, TransientError):
    """Not now: above a rate or quota, not published yet, or away."""


@dataclass(frozen=True)
class Answer:
    """One page: rows as the API writes them (money and times as text), the version they come from, its age."""

    rows: list[Row]
    version: int
    age_s: float
    next_cursor: str | None


@dataclass(frozen=True)
class Event:
    """An event of a stream. `kind` is start, change, reset or version; give `id` to `stream` to resume after it."""

    id: str
    kind: str
    data: dict[str, Any]


class Client:
    """Reads gold over HTTP. Not shared between threads."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 30.0, retries: int = 3) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=timeout_s, follow_redirects=False)
        self._retries = retries

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def marts(self) -> list[Row]:
        """Published marts: mart, group, version, age_s, rows, columns."""
        found: list[Row] = self._json("GET", "/v1/gold")["marts"]
        return found

    def usage(self) -> list[Row]:
        """What this tenant has asked for, by day, newest first."""
        found: list[Row] = self._json("GET", "/v1/usage")["days"]
        return found

    def page(self, mart: str, **question: Any) -> Answer:
        """One page. `question` is what `_question` below takes."""
        found = self._json("POST", "/v1/query", _question(mart, **question))
        return Answer(found["rows"], found["version"], found["age_s"], found["next_cursor"])

    def rows(self, mart: str, **question: Any) -> Iterator[Row]:
        """All rows that fit, page by page, all from the version of the first page; `limit` is the size of a page."""
        cursor: str | None = ""
        while cursor is not None:
            answer = self.page(mart, **{**question, "cursor": cursor})
            yield from answer.rows
            cursor = answer.next_cursor

    def table(self, mart: str, **question: Any) -> pyarrow.Table:
        """The same rows as one Arrow table with exact types. Needs pyarrow (the extra `lake`)."""
        import pyarrow as pa

        pages: list[Any] = []
        cursor = ""
        while True:
            body = {"limit": 50_000, **_question(mart, **{**question, "cursor": cursor}), "format": "arrow"}
            answer = self._send("POST", "/v1/query", body)
            with pa.ipc.open_stream(answer.content) as stream:
                pages.append(stream.read_all())
            cursor = answer.headers.get("x-caudal-next-cursor", "")
            if not cursor:
                return pa.concat_tables(pages)

    def stream(self, mart: str, last_id: str = "") -> Iterator[Event]:
        """Events of a mart for ever; a lost connection is taken up after the last event. See `GET /v1/stream`."""
        lost = 0
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            try:
                with self._http.stream("GET", f"/v1/stream/{mart}", headers=headers, timeout=60) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        raise _error(answer)
                    for event in _events(answer.iter_lines()):
                        last_id, lost = event.id, 0
                        yield event
            except (httpx2.TransportError, Unavailable) as error:
                lost += 1
                if lost > self._retries:
                    raise error if isinstance(error, Unavailable) else _no_answer(error) from error
                time.sleep(_wait(error, lost))

    def _json(self, method: str, path: str, body: object = None) -> Any:
        return self._send(method, path, body).json()

    def _send(self, method: str, path: str, body: object = None) -> httpx2.Response:
        tried = 0
        while True:
            try:
                answer = self._http.request(method, path, json=body)
                if answer.is_success:
                    return answer
                error: ClientError = _error(answer)
            except httpx2.TransportError as lost:
                error = _no_answer(lost)
            tried += 1
            # every request here only reads, so it may be sent again
            if not isinstance(error, Unavailable) or tried > self._retries or error.retry_after > LONGEST_WAIT_S:
                raise error
            time.sleep(_wait(error, tried))


def _question(
    mart: str,
    *,
    where: Mapping[str, Value | Sequence[Value]] | None = None,
    columns: Sequence[str] = (),
    group: Sequence[str] = (),
    measures: Sequence[str] = (),
    order: Sequence[str] = (),
    start: str = "",
    end: str = "",
    time_column: str = "",
    limit: int | None = None,
    cursor: str = "",
) -> dict[str, Any]:
    """The body of a query. `where` maps `column` or `column.operator` to a value, or a list for `in`."""
    filters = []
    for name, value in (where or {}).items():
        column, _, operator = name.partition(".")
        many = isinstance(value, Sequence) and not isinstance(value, str)
        filters.append({"column": column, "operator": operator or ("in" if many else "eq"), "value": value})
    span = {"column": time_column, "from": start, "to": end}
    return {
        "mart": mart, "filters": filters, "columns": list(columns), "group": list(group), "measures": list(measures),
        "order": list(order), "cursor": cursor, **({"time": span} if any(span.values()) else {}),
        **({"limit": limit} if limit is not None else {}),
    }  # fmt: skip


def _events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}


def _error(answer: httpx2.Response) -> ClientError:
    try:
        facts = answer.json()
        told = {name: str(facts.get(name, "")) for name in ("where", "why", "fix")}
        what, code = str(facts["what"]), str(facts["code"])
    except (ValueError, KeyError, AttributeError):
        told, what, code = {}, "the server gave no reason", "CDL-UNEXPECTED"
    kinds = {400: BadRequest, 413: BadRequest, 422: BadRequest, 401: Unauthorized, 403: Unauthorized, 404: NotFound}
    kind = kinds.get(answer.status_code, Unavailable)
    error = kind(what, code=code, **told)
    error.status = answer.status_code
    if isinstance(error, Unavailable):
        error.retry_after = float(answer.headers.get("retry-after", "1"))
    return error


def _no_answer(lost: Exception) -> Unavailable:
    return Unavailable("the server does not answer", why=type(lost).__name__, retry_after=1.0)


def _wait(error: Exception, tried: int) -> float:
    told = error.retry_after if isinstance(error, Unavailable) else 0.5
    return min(LONGEST_WAIT_S, max(told, 0.1 * (1 << tried)))

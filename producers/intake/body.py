"""The body of a push: read up to a limit, parsed without losing digits, bound to the token's tenant."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from producers.intake.errors import HttpRefused

Event = Mapping[str, object]


@dataclass(frozen=True)
class Pushed:
    """The records of one request. `single` is a request of one object, answered by one verdict."""

    records: list[object]
    single: bool


async def read(chunks: AsyncIterator[bytes], declared: str | None, limit: int) -> bytes:
    """The whole body. Raises HttpRefused 413 as soon as it is known to be larger than `limit` bytes."""
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        parts.append(chunk)
    return b"".join(parts)


def parse(body: bytes, max_records: int) -> Pushed:
    """One object or a list of objects; numbers keep all their digits. Raises HttpRefused 400, 413 or 422."""
    try:
        found = json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError):
        # The parser's own message quotes the input.
        raise HttpRefused(400, "CDL-JSON", "the body is not JSON in UTF-8") from None
    if isinstance(found, dict):
        return Pushed([found], single=True)
    if not isinstance(found, list) or not found:
        raise HttpRefused(422, "CDL-SHAPE", "the body is one event (an object) or a list of events")
    if len(found) > max_records:
        raise HttpRefused(413, "CDL-TOO-LARGE", f"at most {max_records} records fit in one request")
    return Pushed(found, single=False)


def bind(record: object, field: str, tenant: str) -> Event | str:
    """The event with its tenant filled in from the token, or the code why it is refused.

    The tenant never comes from the body: a record may leave it out or repeat the token's.
    """
    if not isinstance(record, dict):
        return "CDL-SHAPE"
    given = record.get(field)
    if given is None:
        return {**record, field: tenant}
    return record if given == tenant else "CDL-TENANT"


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN and infinities are not JSON")


def _too_large(limit: int) -> HttpRefused:
    return HttpRefused(413, "CDL-TOO-LARGE", f"the body is larger than {limit} bytes")

"""Written events on their way to an OpenLineage receiver: in order, each until it is taken or refused for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from batch.lineage.errors import ReceiverAway
from batch.lineage.settings import LineageSettings
from caudal.errors import TransientError
from caudal.outgoing import Outgoing, Policy

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Sent:
    """What became of some events."""

    taken: int = 0
    refused: int = 0


class Receiver(Protocol):
    """Takes events. `post` says whether the event was taken; it raises ReceiverAway (or CircuitOpen) to try later."""

    def post(self, event: Mapping[str, Any]) -> bool: ...


class HttpReceiver:
    """OpenLineage over HTTP, one event a request."""

    def __init__(self, settings: LineageSettings) -> None:
        import httpx2

        token = settings.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = settings.url
        self._http = httpx2.Client(headers=headers, timeout=TIMEOUT_S, follow_redirects=False)
        # A dead receiver costs one look a few seconds; the next look tries again.
        self._out = Outgoing("lineage", Policy(attempts=2, deadline_s=8.0))

    def post(self, event: Mapping[str, Any]) -> bool:
        return self._out.call("openlineage", self._post, event)

    def close(self) -> None:
        self._http.close()

    def _post(self, event: Mapping[str, Any]) -> bool:
        import httpx2

        try:
            answer = self._http.post(self._url, json=event)
        except httpx2.TransportError as error:
            raise _away(type(error).__name__) from error
        if answer.status_code in (401, 403, 404, 408, 429) or answer.status_code >= 500:
            raise _away(f"it answered {answer.status_code}")
        return bool(answer.status_code < 300)


def send(receiver: Receiver, events: Iterable[Mapping[str, Any]]) -> Sent:
    """Send events in order. Raises TransientError at the first that has to wait; those before it may come again."""
    taken = refused = 0
    for event in events:
        if receiver.post(event):
            taken += 1
        else:
            refused += 1
    return Sent(taken, refused)


def _away(why: str) -> TransientError:
    return ReceiverAway(
        "the receiver of lineage takes no events", where="lineage.url", why=why, fix="events wait in _lineage/events"
    )

"""What was refused at the door and will not be sent again: kept whole, sealed, as an event of `caudal.rejected`."""

import base64
import secrets

from producers.delivery import OnDelivery
from producers.publish import Publisher
from producers.publish_prepare import Prepared
from producers.settings import ProducersSettings

CONTRACT = "caudal.rejected"


class Rejected:
    """Keeps refused requests. They count as kept when Kafka has them: flush the publisher, or pass `on_delivery`."""

    def __init__(self, publisher: Publisher, settings: ProducersSettings) -> None:
        self._publisher, self._limit = publisher, settings.rejected_payload_bytes

    def reject(
        self,
        tenant: str,
        contract: str,
        route: str,
        code: str,
        path: str | None,
        payload: bytes,
        *,
        event_id: str | None = None,
        at_ms: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> Prepared:
        """Keep one refused request. `route` is sdk, http or webhook; `at_ms` epoch milliseconds, default now.

        Give `event_id` and `at_ms` when the same request may come twice, so that both are one event. Bytes that are not
        UTF-8 are kept as `base64:…`; a payload over the limit is counted but not kept. Raises what publishing raises.
        """
        prepared = self.prepared(tenant, contract, route, code, path, payload, event_id=event_id, at_ms=at_ms)
        self._publisher.produce(prepared, on_delivery)
        return prepared

    def prepared(
        self,
        tenant: str,
        contract: str,
        route: str,
        code: str,
        path: str | None,
        payload: bytes,
        *,
        event_id: str | None = None,
        at_ms: int | None = None,
    ) -> Prepared:
        """The same, not sent yet."""
        at = self._publisher.clock.now_ms() if at_ms is None else at_ms
        event = {
            "event_id": event_id or secrets.token_hex(16),
            "tenant_id": tenant,
            "contract": contract,
            "route": route,
            "code": code,
            "path": path,
            "payload": _text(payload) if len(payload) <= self._limit else None,
            "payload_bytes": len(payload),
            "rejected_at": at,
        }
        return self._publisher.prepare(CONTRACT, event, observed_at=at)


def payload_bytes(text: str) -> bytes:
    """The request as it came, from the revealed payload."""
    return base64.b64decode(text.removeprefix("base64:")) if text.startswith("base64:") else text.encode()


def _text(payload: bytes) -> str:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = ""
    if (payload and not text) or text.startswith("base64:"):
        return "base64:" + base64.b64encode(payload).decode()
    return text

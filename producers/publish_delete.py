"""The record that deletes a key: a null value, with event id, sequence and observation as headers."""

import json
from collections.abc import Mapping

from producers.encode import message_key
from producers.errors import PublishError, RecordRefused
from producers.publish_prepare import Prepared
from producers.validate_values import NO_FIELD
from schemas.contract import Contract


def prepare_delete(
    contract: Contract, key: Mapping[str, object], sequence: object, event_id: str, observed_at: int, published_at: int
) -> Prepared:
    """The delete of `key` (exactly the contract's key fields). `sequence` is one value or a list; times are epoch ms.

    Raises PublishError for an append contract, RecordRefused for a key that does not fit.
    """
    if contract.mode == "append":
        raise PublishError("an append contract has no deletes", where=contract.id)
    values = [key.get(name) for name in contract.key]
    if any(value is None or value == "" for value in values) or set(key) - set(contract.key) or not event_id:
        raise RecordRefused(NO_FIELD, ",".join(contract.key), contract=contract.id)
    order = list(sequence) if isinstance(sequence, list | tuple) else [sequence]
    return Prepared(
        contract_id=contract.id,
        version=contract.latest.number,
        tenant=str(key.get(contract.tenant, "")),
        event_id=event_id,
        key=message_key(values),
        value=None,
        headers=(
            ("caudal-event-id", event_id.encode()),
            ("caudal-sequence", json.dumps(order, separators=(",", ":")).encode()),
            ("caudal-observed-at", str(observed_at).encode()),
        ),
        observed_at=observed_at,
        published_at=published_at,
    )

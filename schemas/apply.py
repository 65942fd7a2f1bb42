"""Make the contracts real: lint, register the wire schema, create the topic, distribute. The only creator there is.

Every step may run twice: what is there already is left as it is.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from caudal import log
from caudal.errors import CaudalError
from caudal.settings import Settings
from schemas import distribution, lint, topics
from schemas.contract import Catalog, Contract
from schemas.distribution import ContractFeed, Released
from schemas.errors import ContractError, NotReleasable
from schemas.registry import client as registry


@dataclass(frozen=True)
class Applied:
    """What became of one contract. `changed`: running stages hear of it now. `error`: nothing more was done."""

    contract: str
    versions: tuple[int, ...] = ()
    ids: dict[int, int] = field(default_factory=dict)
    topic_created: bool = False
    changed: bool = False
    error: ContractError | None = None


def apply(settings: Settings, catalog: Catalog, only: Collection[str] | None = None) -> list[Applied]:
    """Apply the contracts of a catalog (or `only` some of them), one after the other, in order of id.

    A contract that may not be applied is reported in its `Applied.error` and leaves the others alone. Raises
    Unreachable when broker or registry is away.
    """
    feed = ContractFeed(settings)
    try:
        released = feed.read_to_end()
    finally:
        feed.close()
    chosen = [contract for contract in catalog.values() if only is None or contract.id in only]
    return [_guarded(settings, contract, released.get(contract.id)) for contract in chosen]


def first_error(results: Collection[Applied]) -> CaudalError | None:
    """The first error among the results, if there is one."""
    return next((result.error for result in results if result.error is not None), None)


def _guarded(settings: Settings, contract: Contract, before: Released | None) -> Applied:
    try:
        return _apply(settings, contract, before)
    except ContractError as error:
        log.get("schemas").error("contract refused", contract=contract.id, **error.facts())
        return Applied(contract.id, error=error)


def _apply(settings: Settings, contract: Contract, before: Released | None) -> Applied:
    lint.refuse(lint.lint(contract, before.contract if before else None))
    ids = _register(settings, contract)
    created = topics.ensure_for(settings, contract)
    released = Released(contract, ids)
    changed = before is None or distribution.to_bytes(before) != distribution.to_bytes(released)
    if changed:
        distribution.publish(settings, released)
        log.get("schemas").info("contract applied", contract=contract.id, versions=len(ids), topic_created=created)
    return Applied(contract.id, tuple(ids), ids, created, changed)


def _register(settings: Settings, contract: Contract) -> dict[int, int]:
    """Registry ids of all versions, in the subject's order. The registry remembers what the topic may have lost."""
    client = registry.make(settings)
    subject = contract.registry_subject
    known = registry.registered(client, subject)
    for version, there in zip(contract.versions, known, strict=False):
        if version.wire != there:
            raise NotReleasable(
                "RELEASED",
                f"version {version.number} of {contract.id} is in the registry with another schema",
                file=contract.source_dir / f"v{version.number}.avsc" if contract.source_dir else None,
                why="a released version never changes",
                fix=f"restore it and write v{len(known) + 1}.avsc",
            )
    if len(known) > len(contract.versions):
        raise NotReleasable(
            "RELEASED",
            f"the registry has {len(known)} versions of {contract.id}, here are {len(contract.versions)}",
            file=contract.source_dir,
            why="a released version never goes away",
            fix="restore the missing schemas",
        )
    registry.set_level(client, subject, contract.evolution.compatibility)
    return {version.number: registry.register(client, subject, version.wire) for version in contract.versions}

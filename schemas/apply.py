"""Make the contracts real: lint, register the wire schema, create the topic, distribute. The only creator there is.

Every step may run twice: what is there already is left as it is.
"""

from collections.abc import Collection, Mapping
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
    """Apply the contracts of a catalog (or `only` some of them), one after the other, in order of id; no drafts.

    A contract that may not be applied is reported in its `Applied.error` and leaves the others alone. Raises
    Unreachable when broker or registry is away.
    """
    feed = ContractFeed(settings)
    try:
        released = feed.read_to_end()
    finally:
        feed.close()
    chosen = [c for c in catalog.values() if not c.draft and (only is None or c.id in only)]
    # Whoever was released first keeps the table name.
    holders = [*(r.contract for r in released.values()), *catalog.values()]
    applier = _Applier(settings, {contract.table: contract for contract in reversed(holders)})
    return [applier.guarded(contract, released.get(contract.id)) for contract in chosen]


def first_error(results: Collection[Applied]) -> CaudalError | None:
    """The first error among the results, if there is one."""
    return next((result.error for result in results if result.error is not None), None)


class _Applier:
    """The steps for one contract after the other, on one connection to each server."""

    def __init__(self, settings: Settings, holders: Mapping[str, Contract]) -> None:
        self._holders = holders
        self._registry = registry.make(settings)
        self._topics = topics.Topics(settings)
        self._distributor = distribution.Distributor(settings, self._topics)

    def guarded(self, contract: Contract, before: Released | None) -> Applied:
        try:
            return self._apply(contract, before)
        except ContractError as error:
            log.get("schemas").error("contract refused", contract=contract.id, **error.facts())
            return Applied(contract.id, error=error)

    def _apply(self, contract: Contract, before: Released | None) -> Applied:
        lint.refuse(lint.same_table(contract, [self._holders[contract.table]]))
        lint.refuse(lint.lint(contract, before.contract if before else None))
        ids = self._register(contract)
        created = self._topics.ensure_for(contract)
        released = Released(contract, ids)
        changed = before is None or distribution.to_bytes(before) != distribution.to_bytes(released)
        if changed:
            self._distributor.publish(released)
            log.get("schemas").info("contract applied", contract=contract.id, versions=len(ids), topic_created=created)
        return Applied(contract.id, tuple(ids), ids, created, changed)

    def _register(self, contract: Contract) -> dict[int, int]:
        """Registry ids of all versions, in the subject's order. The registry remembers what the topic may have lost."""
        subject = contract.registry_subject
        known = registry.registered(self._registry, subject)
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
        registry.set_level(self._registry, subject, contract.evolution.compatibility)
        return {v.number: registry.register(self._registry, subject, v.wire) for v in contract.versions}

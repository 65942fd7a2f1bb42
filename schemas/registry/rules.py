"""What the registry decides: ids, versions, compatibility, deletes, levels and modes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, get_args

from schemas.avro import full_name
from schemas.compare import Level, check
from schemas.registry import refusals
from schemas.registry.refusals import Refusal
from schemas.registry.store import GLOBAL, Store, Version
from schemas.registry.text import Reference, Text, inlined

LEVELS: tuple[str, ...] = get_args(Level)
MODES = ("READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT")
_LAST_VERSION = 2**31 - 1


class Registry:
    """The rules over a store. Methods raise `Refusal` with the code that the REST API knows."""

    def __init__(self, store: Store, default_level: str = "BACKWARD") -> None:
        self.store = store
        self._default_level = default_level

    # ---- reading

    def subjects(self, *, deleted: bool = False, deleted_only: bool = False, prefix: str = "") -> list[str]:
        """Names of subjects, sorted."""
        found: dict[str, bool] = {}
        for version in self.store.everything():
            found[version.subject] = found.get(version.subject, True) and version.deleted
        wanted = [s for s, gone in found.items() if (gone if deleted_only else deleted or not gone)]
        return sorted(s for s in wanted if s.startswith(prefix))

    def versions(self, subject: str, *, deleted: bool = False, deleted_only: bool = False) -> list[int]:
        """Version numbers of a subject; 40401 when there are none."""
        found = [
            v.version for v in self.store.versions(subject) if (v.deleted if deleted_only else deleted or not v.deleted)
        ]
        if not found:
            raise refusals.no_subject(subject)
        return found

    def version(self, subject: str, wanted: str, *, deleted: bool = False) -> Version:
        """One version: a number, `latest` or -1. 40401, 40402, 42202."""
        number = version_number(wanted)
        every = self.store.versions(subject)
        live = [v for v in every if deleted or not v.deleted]
        if not live:
            raise refusals.no_subject(subject)
        if number is None:
            return live[-1]
        for version in live:
            if version.version == number:
                return version
        raise refusals.no_version(number)

    def schema(self, schema_id: int) -> Text:
        """A schema by id; 40403."""
        text = self.store.by_id(schema_id)
        if text is None:
            raise refusals.no_schema(schema_id)
        return text

    def uses(self, schema_id: int, *, deleted: bool = False) -> list[Version]:
        """Versions that are this schema; 40403."""
        self.schema(schema_id)
        return [v for v in self.store.uses(schema_id) if deleted or not v.deleted]

    def lookup(self, subject: str, text: Text, *, deleted: bool = False) -> Version:
        """The version of a subject that is this schema; 40401, 40403."""
        every = self.store.versions(subject)
        if not [v for v in every if deleted or not v.deleted]:
            raise refusals.no_subject(subject)
        for version in reversed(every):
            if (deleted or not version.deleted) and version.text.digest == text.digest:
                return version
        raise refusals.no_schema()

    def referenced_by(self, subject: str, version: int) -> list[int]:
        """Ids of the schemas that name this version, sorted."""
        return sorted(
            {
                v.schema_id
                for v in self.store.everything()
                if not v.deleted and any(r.subject == subject and r.version == version for r in v.text.references)
            }
        )

    # ---- writing

    def register(self, subject: str, text: Text, *, schema_id: int = -1, version: int = -1) -> int:
        """The id of this schema under this subject, new or known. 409, 42201, 42205."""
        with self.store.writing():
            every = self.store.versions(subject)
            for known in every:
                if not known.deleted and known.text.digest == text.digest:
                    return known.schema_id
            mode = self.mode(subject)
            if mode in ("READONLY", "READONLY_OVERRIDE"):
                raise refusals.not_permitted(f"Subject {subject} is in read-only mode")
            if schema_id >= 0 and mode != "IMPORT":
                raise refusals.not_permitted(f"Subject {subject} is not in import mode")
            new = self._inline(text)
            if mode != "IMPORT":
                messages = self._conflicts(subject, new, [v for v in every if not v.deleted])
                if messages:
                    raise refusals.incompatible(subject, messages)
            given = self._give_id(text, schema_id)
            number = version if version >= 1 else (every[-1].version + 1 if every else 1)
            if any(v.version == number for v in every):
                raise refusals.not_permitted(f"Version {number} of subject {subject} exists")
            self.store.add_version(subject, number, given)
            return given

    def _give_id(self, text: Text, wanted: int) -> int:
        known = self.store.id_of(text)
        if wanted < 0:
            return known if known is not None else self.store.add_schema(text)
        holder = self.store.holder_of(wanted)
        if holder is None:
            return self.store.add_schema(text, wanted)
        if holder.digest != text.digest:
            raise refusals.not_permitted(f"Overwrite new schema with id {wanted} is not permitted.")
        return wanted

    def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Soft delete, then permanent delete; the numbers of the versions that went."""
        with self.store.writing():
            every = self.store.versions(subject)
            live = [v for v in every if not v.deleted]
            if not every:
                raise refusals.no_subject(subject)
            self._writable(subject)
            if permanent and live:
                raise refusals.subject_not_soft_deleted(subject)
            if not permanent and not live:
                raise refusals.subject_soft_deleted(subject)
            for version in live:
                self._unreferenced(version)
            for version in every if permanent else live:
                self._remove(version, permanent=permanent)
            if permanent:
                self.store.set_level(subject, None)
                self.store.set_mode(subject, None)
            return [v.version for v in (every if permanent else live)]

    def delete_version(self, subject: str, wanted: str, *, permanent: bool) -> int:
        """Soft delete, then permanent delete of one version; its number."""
        with self.store.writing():
            version = self.version(subject, wanted, deleted=version_number(wanted) is not None or permanent)
            self._writable(subject)
            if permanent and not version.deleted:
                raise refusals.version_not_soft_deleted(subject, version.version)
            if not permanent and version.deleted:
                raise refusals.version_soft_deleted(subject, version.version)
            self._unreferenced(version)
            self._remove(version, permanent=permanent)
            return version.version

    def _remove(self, version: Version, *, permanent: bool) -> None:
        if permanent:
            self.store.forget(version.subject, version.version)
        else:
            self.store.mark_deleted(version.subject, version.version)

    def _unreferenced(self, version: Version) -> None:
        if self.referenced_by(version.subject, version.version):
            raise refusals.referenced(version.subject, version.version)

    def _writable(self, subject: str) -> None:
        if self.mode(subject) in ("READONLY", "READONLY_OVERRIDE"):
            raise refusals.not_permitted(f"Subject {subject} is in read-only mode")

    # ---- compatibility

    def test(self, subject: str, text: Text, wanted: str | None) -> list[str]:
        """What speaks against this schema as the next version; against one version alone when `wanted` names it."""
        new = self._inline(text)
        if wanted is None:
            return self._conflicts(subject, new, [v for v in self.store.versions(subject) if not v.deleted])
        return self._conflicts(subject, new, [self.version(subject, wanted)])

    def _conflicts(self, subject: str, new: Any, olds: Sequence[Version]) -> list[str]:
        found = check(self.level(subject), new, [self._inline(v.text) for v in olds])
        return [
            f"{{errorType:'{item.kind}', description:'{item.message}', at:'{item.path}', "
            f"version:{olds[item.old or 0].version}}}"
            for item in found
        ]

    def _inline(self, text: Text) -> Any:
        definitions: dict[str, Any] = {}
        self._define(text.references, definitions)
        return inlined(text, definitions)

    def _define(self, references: Sequence[Reference], into: dict[str, Any]) -> None:
        for reference in references:
            try:
                found = self.version(reference.subject, str(reference.version), deleted=True)
            except Refusal as refusal:
                raise refusals.invalid_schema(
                    f"No schema reference found for subject {reference.subject} and version {reference.version}"
                ) from refusal
            self._define(found.text.references, into)
            tree = json.loads(found.text.text)
            into[reference.name] = tree
            if isinstance(tree, dict) and isinstance(tree.get("name"), str):
                into[full_name(tree, None)] = tree

    # ---- levels and modes

    def level(self, subject: str = GLOBAL) -> str:
        """The level that counts for a subject."""
        return self.store.level(subject) or self.store.level(GLOBAL) or self._default_level

    def own_level(self, subject: str) -> str:
        """The subject's own level; 40408."""
        level = self.store.level(subject)
        if level is None:
            raise refusals.no_config(subject)
        return level

    def set_level(self, subject: str, level: object) -> str:
        """42203 for an unknown level."""
        known = str(level).upper()
        if known not in LEVELS:
            raise refusals.invalid_level(str(level))
        with self.store.writing():
            self.store.set_level(subject, known)
        return known

    def drop_level(self, subject: str) -> str:
        """Back to the level above; the level that went. 40401 when the subject had none."""
        before = self.store.level(subject)
        if before is None and subject != GLOBAL:
            raise refusals.no_subject(subject)
        with self.store.writing():
            self.store.set_level(subject, None)
        return before or self._default_level

    def mode(self, subject: str = GLOBAL) -> str:
        """The mode that counts for a subject; READONLY_OVERRIDE on all wins over a subject's own."""
        above = self.store.mode(GLOBAL) or "READWRITE"
        return above if above == "READONLY_OVERRIDE" else self.store.mode(subject) or above

    def own_mode(self, subject: str) -> str:
        """The subject's own mode; 40409."""
        mode = self.store.mode(subject)
        if mode is None:
            raise refusals.no_mode(subject)
        return mode

    def set_mode(self, subject: str, mode: object, *, force: bool) -> str:
        """42204 for an unknown mode; 42205 for IMPORT over existing schemas without `force`."""
        known = str(mode).upper()
        if known not in MODES:
            raise refusals.invalid_mode(str(mode))
        with self.store.writing():
            there = self.store.versions(subject) if subject else self.store.everything()
            if known == "IMPORT" and not force and [v for v in there if not v.deleted]:
                raise refusals.not_permitted("Cannot import since found existing subjects")
            self.store.set_mode(subject, known)
        return known

    def drop_mode(self, subject: str) -> str:
        """Back to the mode above; the mode that went. 40401 when the subject had none."""
        before = self.store.mode(subject)
        if before is None and subject != GLOBAL:
            raise refusals.no_subject(subject)
        with self.store.writing():
            self.store.set_mode(subject, None)
        return before or "READWRITE"


def version_number(wanted: str) -> int | None:
    """The number, or None for the latest; 42202 otherwise."""
    if wanted in ("latest", "-1"):
        return None
    if not wanted.isdigit() or not 1 <= int(wanted) <= _LAST_VERSION:
        raise refusals.invalid_version(wanted)
    return int(wanted)

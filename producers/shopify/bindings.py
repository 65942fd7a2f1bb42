"""Which shop a secret path belongs to: `<data>/shops.json`, re-read when it changes, so secrets rotate without restart.

    {"shops": [{"path_secret": "…", "shop_id": "…", "domain": "….myshopify.com", "secrets": ["new", "old"],
                "api_url": "https://….myshopify.com", "api_token": "…", "origin": ""}]}

`origin` is empty for a real shop. A simulated one names its simulator there; only then is the shop's (unsigned) clock
header believed, because its time is not the wall clock's.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from producers.shopify.errors import BindingError

FILE = "shops.json"


class Binding(BaseModel):
    """One shop. All of `secrets` are accepted at once, so that a rotation loses nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path_secret: SecretStr = Field(min_length=16)
    shop_id: str = Field(min_length=1)
    domain: str = Field(min_length=1)
    secrets: tuple[SecretStr, ...] = Field(min_length=1)
    api_url: str = ""
    api_token: SecretStr = SecretStr("")
    origin: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shops: tuple[Binding, ...] = ()


class Bindings:
    """The bindings of one install. Looking up costs one `stat` of the file."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / FILE
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._by_path: dict[str, Binding] = {}

    def find(self, path_secret: str) -> Binding | None:
        """The shop behind a secret path, or None. Raises BindingError when the file cannot be used."""
        with self._lock:
            self._refresh()
            return self._by_path.get(path_secret)

    def all(self) -> list[Binding]:
        """Every bound shop, in the file's order."""
        with self._lock:
            self._refresh()
            return list(self._by_path.values())

    def _refresh(self) -> None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            self._stamp, self._by_path = None, {}
            return
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._by_path = {b.path_secret.get_secret_value(): b for b in _read(self._file)}
            self._stamp = stamp


def write(data_dir: Path, bindings: list[Binding]) -> None:
    """Replace the file as a whole, readable by its owner only."""
    data_dir.mkdir(parents=True, exist_ok=True)
    shops = [
        {
            **binding.model_dump(mode="json"),
            "path_secret": binding.path_secret.get_secret_value(),
            "secrets": [secret.get_secret_value() for secret in binding.secrets],
            "api_token": binding.api_token.get_secret_value(),
        }
        for binding in bindings
    ]
    handle, temporary = tempfile.mkstemp(dir=data_dir, prefix=f".{FILE}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"shops": shops}, file, indent=1)
    os.replace(temporary, data_dir / FILE)


def _read(path: Path) -> tuple[Binding, ...]:
    try:
        return _File.model_validate_json(path.read_bytes()).shops
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = f"{path.name}: {'.'.join(map(str, first['loc']))}"
        raise BindingError("the shop bindings do not fit", where=where, why=first["type"], fix="correct it") from None

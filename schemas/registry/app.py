"""The registry as a process: `caudal run registry`."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from caudal import log
from caudal.errors import SettingsError
from caudal.settings import Settings, load
from schemas.registry.settings import RegistryServerSettings


def run(settings: Settings) -> None:
    """Serve at `registry.url` until SIGTERM or SIGINT, then close the store.

    Raises:
        SettingsError: `registry.url` names no host and port to listen on.
    """
    import uvicorn

    from schemas.registry.rules import Registry
    from schemas.registry.server import build
    from schemas.registry.store import Store

    own = settings.section("schemas.registry", RegistryServerSettings)
    address = urlsplit(settings.registry.url)
    if address.scheme != "http" or not address.hostname:
        raise SettingsError(
            "the embedded registry cannot listen there",
            where="registry.url",
            why="it serves plain HTTP on a host and port",
            fix="write http://127.0.0.1:8081",
        )
    store = Store(own.path or settings.data_dir / "registry" / "registry.db")
    log.get("registry").info("registry starts", host=address.hostname, port=address.port or 8081)
    try:
        uvicorn.run(
            build(Registry(store, own.compatibility)),
            host=address.hostname,
            port=address.port or 8081,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
        )
    finally:
        store.close()


if __name__ == "__main__":
    loaded = load()
    log.setup(loaded, "registry")
    run(loaded)
    sys.exit(0)

"""The batch process: the loop that makes gold, and beside it a thread that tells where gold came from."""

from __future__ import annotations

from caudal.settings import Settings


def run(settings: Settings) -> None:
    """Run cycles until SIGTERM or SIGINT. Raises LeaseHeld when another batch process owns this lake's gold."""
    from batch import app
    from batch.lineage.app import following

    with following(settings):
        app.run(settings)

"""Where this stage's real things are chosen for programs: a publisher on an install's settings."""

from caudal import settings as configuration
from caudal.metrics import Metrics
from caudal.settings import Settings
from producers.publish import Publisher


def publisher(source: str, *, settings: Settings | None = None, metrics: Metrics | None = None) -> Publisher:
    """A publisher as the settings of this machine say; without `settings` they are loaded from file and environment."""
    return Publisher(settings or configuration.load(), source=source, metrics=metrics)

"""Which servers `caudal verify` may ask."""

from pathlib import Path

from caudal import settings
from caudal.cli.verify import NOWHERE, own_servers


def test_a_stopped_install_asks_nobodys_servers(tmp_path: Path) -> None:
    """What listens on the default ports may belong to another install, so it is not asked."""
    own = own_servers(settings.load({"data_dir": str(tmp_path)}, {"CAUDAL_CONFIG": str(tmp_path / "none.toml")}))
    assert own.kafka.bootstrap == NOWHERE
    assert own.redis.url.get_secret_value() == f"redis://{NOWHERE}/0"


def test_named_servers_are_asked(tmp_path: Path) -> None:
    """Servers that the user or a running install names stay."""
    named = {"CAUDAL_CONFIG": str(tmp_path / "none.toml"), "CAUDAL_KAFKA__BOOTSTRAP": "broker:9092"}
    own = own_servers(settings.load({"data_dir": str(tmp_path), "redis.url": "redis://store:6379/0"}, named))
    assert (own.kafka.bootstrap, own.redis.url.get_secret_value()) == ("broker:9092", "redis://store:6379/0")

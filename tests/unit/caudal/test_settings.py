import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from caudal import settings
from caudal.errors import SettingsError


class Stage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    trigger_s: float = 1.0


def install(folder: Path, endpoints: dict[str, object]) -> None:
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "endpoints.json").write_text(json.dumps({"settings": endpoints}), encoding="utf-8")


def test_the_strongest_source_wins(tmp_path: Path) -> None:
    """Flag beats environment, that the running install, that the file, that the default; each origin is known."""
    install(tmp_path / "d", {"kafka": {"bootstrap": "install:1"}, "web": {"port": 1}, "registry": {"url": "http://i"}})
    file = tmp_path / "caudal.toml"
    file.write_text('[web]\nport = 2\n[log]\nlevel = "debug"\n[kafka]\nbootstrap = "file:1"\n', encoding="utf-8")
    env = {"CAUDAL_CONFIG": str(file), "CAUDAL_WEB__PORT": "3", "CAUDAL_DATA_DIR": str(tmp_path / "d")}

    loaded = settings.load({"web.port": 4}, env)

    assert loaded.web.port == 4
    assert loaded.origin("web.port") == "flag"
    assert settings.load(environ=env).origin("web.port") == "environment"
    assert (loaded.kafka.bootstrap, loaded.origin("kafka.bootstrap")) == ("install:1", "running install")
    assert (loaded.log.level, loaded.origin("log.level")) == ("debug", "caudal.toml")
    assert loaded.origin("redis.url") == "default"


def test_a_child_process_sees_the_same_settings() -> None:
    """Settings handed over as environment variables load to the same values."""
    parent = settings.load({"web.port": 9, "kafka.security": {"a.b": "c"}, "lake.s3_secret_key": "k"}, {})

    child = settings.load({}, settings.environment(parent))

    assert child.model_dump() == parent.model_dump()


def test_a_typo_is_refused_with_the_name_and_the_fix() -> None:
    """An unknown setting of a known section never passes silently."""
    with pytest.raises(SettingsError) as caught:
        settings.load({}, {"CAUDAL_WEB__PROT": "1"})
    assert caught.value.where == "web.prot"
    assert caught.value.exit_code == 3


def test_a_broken_file_says_where(tmp_path: Path) -> None:
    """A file that is no TOML is named with its line."""
    file = tmp_path / "caudal.toml"
    file.write_text("[web\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="line 1"):
        settings.load({}, {"CAUDAL_CONFIG": str(file)})


def test_a_stage_reads_only_its_own_section() -> None:
    """Tables below a section belong to other stages."""
    loaded = settings.load({}, {"CAUDAL_STAGE__TRIGGER_S": "2.5", "CAUDAL_STAGE__INNER__X": "1"})
    assert loaded.section("stage", Stage) == Stage(trigger_s=2.5)


def test_a_stage_refuses_what_does_not_fit() -> None:
    """A wrong type in a stage's section is named with its path."""
    loaded = settings.load({}, {"CAUDAL_STAGE__TRIGGER_S": "soon"})
    with pytest.raises(SettingsError) as caught:
        loaded.section("stage", Stage)
    assert caught.value.where == "stage.trigger_s"


def test_an_installs_own_contracts_are_meant_unless_others_are_named(tmp_path: Path) -> None:
    """Every verb on a data folder asks about the contracts that this install runs with."""
    (tmp_path / "contracts").mkdir()
    loaded = settings.load({"data_dir": str(tmp_path)}, {})
    assert (loaded.contracts_dir, loaded.origin("contracts_dir")) == (tmp_path / "contracts", "data folder")
    named = settings.load({"data_dir": str(tmp_path)}, {"CAUDAL_CONTRACTS_DIR": "elsewhere"})
    assert named.contracts_dir == Path("elsewhere")

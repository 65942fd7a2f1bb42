"""Files as a source: every row arrives though the process is killed between publishing and saving its state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from caudal.lake import Lake
from caudal.settings import Settings, environment, load
from producers.connector import Puller, Report, States
from producers.files.errors import FolderError
from producers.files.mapping import FileMapping
from producers.files.read import FileSource
from producers.publish import Publisher
from tests.support.shops import arrived, release

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).resolve().parents[3]
CONTRACT = "commerce.refund"


def mapping(tenant: str, folder: str, form: str = "jsonl") -> FileMapping:
    return FileMapping.model_validate(
        {
            "contract": CONTRACT,
            "from": folder,
            "files": f"*.{form}",
            "format": form,
            "name": tenant,
            "tenant": tenant,
            "observed": "created_at",
            "fields": {
                "event_id": {"hash": ["id"]},
                "shop_id": {"value": tenant},
                "refund_id": "id",
                "order_id": "order",
                "amount": {"from": "amount", "type": "decimal"},
                "currency": {"value": "BRL"},
                "lines": {"value": []},
                "created_at": {"from": "at", "type": "time", "zone": "America/Sao_Paulo"},
            },
        }
    )


def row(number: int) -> dict[str, Any]:
    return {"id": f"r{number}", "order": f"o{number}", "amount": f"{number}.50", "at": "2018-01-31 10:00:00"}


def pull(settings: Settings, source: FileSource) -> Report:
    publisher, states = Publisher(settings, source="files"), States(settings.data_dir)
    try:
        return Puller(source, publisher, states).run()
    finally:
        publisher.close()
        states.close()


def refunds(settings: Settings, tenant: str) -> list[str]:
    return [message.wire["refund_id"] for message in arrived(settings, CONTRACT, tenant) if message.wire]


@pytest.mark.parametrize("point", ["connector.published", "connector.acknowledged"])
def test_a_kill_loses_no_row(settings: Settings, tmp_path: Path, point: str) -> None:
    """Killed in its second batch, the next run reads on from the saved cursor; every row is one event."""
    release(settings, CONTRACT)
    tenant = f"files-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps(row(n)) + "\n" for n in range(1_200)), encoding="utf-8")
    given = {"data_dir": str(settings.data_dir), "kafka.bootstrap": settings.kafka.bootstrap}
    wanted = mapping(tenant, str(folder))
    file = tmp_path / "mapping.yml"
    file.write_text(wanted.model_dump_json(by_alias=True, exclude_unset=True), encoding="utf-8")
    armed = {"CAUDAL_CRASHPOINT": f"{point}:2", "CAUDAL_CRASH_DIR": str(tmp_path / "crash")}
    command = [sys.executable, "-m", "producers.files", str(file)]
    env = {**os.environ, **environment(load(given, {}))}
    child = subprocess.run(command, cwd=ROOT, env=env | armed, start_new_session=True, capture_output=True, check=False)
    assert (tmp_path / "crash" / point).exists(), child.stderr.decode()
    again = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert again.stdout == "700 of 700 rows published; refused: none\n", again.stderr
    found = refunds(settings, tenant)
    assert set(found) == {f"r{n}" for n in range(1_200)}
    assert len(found) <= 1_700


def test_a_growing_file_is_read_on(settings: Settings, tmp_path: Path) -> None:
    """New rows and new files are read, a half-written last line waits, a file that shrank is refused."""
    release(settings, CONTRACT)
    tenant = f"files-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "a.jsonl"
    source = FileSource(settings, mapping(tenant, str(tmp_path)), batch=2)
    with pytest.raises(FolderError):
        pull(settings, source)
    file.write_text(f"{json.dumps(row(0))}\nno json\n{json.dumps(row(1))[:20]}", encoding="utf-8")
    first = pull(settings, source)
    assert (first.read, first.published, first.refused) == (2, 1, {"CDL-JSON": 1})
    file.write_text(f"{json.dumps(row(0))}\nno json\n{json.dumps(row(1))}", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps(row(2) | {"amount": "-1"}) + "\n", encoding="utf-8")
    second = pull(settings, source)
    assert (second.published, second.refused) == (1, {"CDL-RULE-NEG_AMOUNT": 1})
    assert pull(settings, source).read == 0
    assert sorted(refunds(settings, tenant)) == ["r0", "r1"]
    file.write_text("", encoding="utf-8")
    with pytest.raises(FolderError):
        pull(settings, source)


def test_a_bucket_is_a_folder(s3_settings: Settings) -> None:
    """CSV files in a bucket become events with the times of their rows."""
    release(s3_settings, CONTRACT)
    tenant = f"files-{uuid.uuid4().hex[:8]}"
    lines = ["id,order,amount,at", *(f"r{n},o{n},{n}.10,2018-01-31 10:00:00" for n in range(3))]
    Lake.open(s3_settings).write_atomic("inbox/refunds.csv", "\n".join(lines).encode())
    source = FileSource(s3_settings, mapping(tenant, f"{s3_settings.lake_uri}/inbox", "csv"))
    assert pull(s3_settings, source).published == 3
    messages = [m.wire for m in arrived(s3_settings, CONTRACT, tenant) if m.wire]
    assert {wire["origin"]["observed_at"].timestamp() for wire in messages} == {1_517_400_000}
    assert {f"refunds.csv:{n}" for n in (1, 2, 3)} == {wire["origin"]["position"] for wire in messages}

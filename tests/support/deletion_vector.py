"""Takes rows out of a Delta table's only file by a deletion vector, as Spark does and deltalake cannot."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

_B85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def delete_by_vector(path: str, places: Sequence[int]) -> None:
    """Commit a version in which the rows at these places of the file are gone; the vector replaces an older one."""
    log = Path(path) / "_delta_log"
    version = DeltaTable(path).version()
    actions = [
        json.loads(line) for n in range(version + 1) for line in (log / f"{n:020d}.json").read_text().splitlines()
    ]
    added = [action["add"] for action in actions if "add" in action][-1]
    removed = {k: added[k] for k in ("path", "size", "deletionVector", "partitionValues") if k in added}
    commit: list[dict[str, Any]] = [
        {"commitInfo": {"timestamp": 0, "operation": "DELETE"}},
        {"remove": {**removed, "deletionTimestamp": 0, "dataChange": True, "extendedFileMetadata": True}},
        {"add": {**added, "dataChange": True, "deletionVector": _vector(places)}},
    ]
    if not any("deletionVectors" in str(action.get("protocol")) for action in actions):
        features = ["deletionVectors"]
        protocol = {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": features,
            "writerFeatures": features,
        }
        commit.append({"protocol": protocol})
    (log / f"{version + 1:020d}.json").write_text("\n".join(map(json.dumps, commit)))


def _vector(places: Sequence[int]) -> dict[str, Any]:
    """An inline vector: a roaring bitmap with one array container."""
    container = struct.pack("<IIHHI", 12346, 1, 0, len(places) - 1, 16) + struct.pack(f"<{len(places)}H", *places)
    raw = struct.pack("<IQI", 1681511377, 1, 0) + container
    padded = raw + bytes(-len(raw) % 4)
    text = base64.b85encode(padded).decode().translate(str.maketrans(_B85, _Z85))
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(raw), "cardinality": len(places)}

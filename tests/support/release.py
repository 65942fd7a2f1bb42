"""Where the repository's own contracts are, for tests that release a folder of theirs beside them."""

from pathlib import Path

REJECTED = Path(__file__).resolve().parents[2] / "schemas" / "contracts" / "caudal" / "rejected"

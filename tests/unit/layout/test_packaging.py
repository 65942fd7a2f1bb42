"""The rules of the tree that no linter knows."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
HEAVY = {"pyspark", "delta", "dbt", "great_expectations", "fastapi", "redis", "sklearn", "numpy", "deltalake"}


def tracked() -> list[Path]:
    out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in out.splitlines()]


def test_every_package_is_listed_and_typed() -> None:
    """Each Python folder of the root is packaged, and each packaged folder carries its type marker."""
    python_folders = {
        path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("tests", "dbt", "deploy")
    }
    assert python_folders == set(PACKAGES)
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists(), package


def test_the_sdk_imports_without_anything_heavy() -> None:
    """A producer installs the base only: publishing imports no Spark, web framework or numeric library."""
    code = "import sys, producers.publish; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_the_lock_has_hashes_and_no_addresses() -> None:
    """Every package of the lock is pinned and hashed, and no file says where it was downloaded from."""
    for name in ("requirements.txt", "uv.txt"):
        text = (ROOT / "deploy" / "setup" / name).read_text(encoding="utf-8")
        pins = re.findall(r"^[A-Za-z0-9._-]+(?:\[[^\]]+\])?==\S+", text, re.M)
        assert len(pins) == len(re.findall(r"^[A-Za-z0-9._-]+.*==.*\\\n    --hash=sha256:", text, re.M))
        assert "://" not in text
        assert "index-url" not in text


def test_no_file_names_this_machine() -> None:
    """No path of a developer's machine reaches the repository."""
    here = str(ROOT)
    for path in tracked():
        if path.suffix in {".py", ".sh", ".toml", ".md", ".yml", ".yaml", ".sql", ".json"} and path.is_file():
            assert here not in path.read_text(encoding="utf-8"), path


def test_importers_are_watched(tmp_path: Path) -> None:
    """The import linter catches a planted import that goes up the road."""
    package = tmp_path / "schemas"
    package.mkdir()
    (package / "__init__.py").write_text("import streaming\n", encoding="utf-8")
    (tmp_path / "streaming").mkdir()
    (tmp_path / "streaming" / "__init__.py").write_text("", encoding="utf-8")
    contracts = [
        c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["name"] == "schemas import the kernel only"
    ]
    [contract] = contracts
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_packages =\n    schemas\n    streaming\n"
        f"[importlinter:contract:1]\nname = {contract['name']}\ntype = forbidden\nsource_modules =\n    schemas\n"
        "forbidden_modules =\n    streaming\n",
        encoding="utf-8",
    )
    assert "streaming" in contract["forbidden_modules"]
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "schemas -> streaming" in done.stdout

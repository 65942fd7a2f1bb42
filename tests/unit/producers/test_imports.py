"""The event SDK installs alone: importing it needs nothing beyond the base dependencies."""

import subprocess
import sys

HEAVY = (
    "pyspark",
    "delta",
    "deltalake",
    "pyarrow",
    "numpy",
    "pandas",
    "fastapi",
    "starlette",
    "boto3",
    "redis",
    "sklearn",
)


def test_the_publisher_imports_with_base_dependencies_only():
    """With every optional package made impossible to import, the publisher's modules still import."""
    program = (
        "import sys\n"
        f"for name in {HEAVY!r}:\n"
        "    sys.modules[name] = None\n"
        "import producers.app, producers.publish, producers.rejected, privacy.app, privacy.erased\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

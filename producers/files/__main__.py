"""`python -m producers.files MAPPING.yml`: publish what is new in the files that a mapping names."""

import sys
from pathlib import Path

from caudal import settings as configuration
from caudal.errors import CaudalError
from caudal.metrics import Metrics
from producers.connector import Puller, States, sealed
from producers.files.mapping import load
from producers.files.read import FileSource
from producers.publish import Publisher
from producers.rejected import Rejected
from producers.settings import ProducersSettings


def main(arguments: list[str]) -> int:
    """Print what was read; the exit code is the error's, 2 for a wrong call."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m producers.files MAPPING.yml\n")
        return 2
    settings = configuration.load()
    states = States(settings.data_dir)
    try:
        source = FileSource(settings, load(Path(arguments[0])))
        with Publisher(settings, source=source.origin, metrics=Metrics("files")) as publisher:
            refuse = sealed(Rejected(publisher, settings.section("producers", ProducersSettings)))
            report = Puller(source, publisher, states, refuse=refuse).run()
    except CaudalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    finally:
        states.close()
    refused = ", ".join(f"{count} {code}" for code, count in sorted(report.refused.items())) or "none"
    sys.stdout.write(f"{report.published} of {report.read} rows published; refused: {refused}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

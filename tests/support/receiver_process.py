"""The intake in a process of its own, so that a test can kill it: `python -m tests.support.receiver_process`."""

import sys
import time

from caudal import settings as configuration
from producers.intake.app import build
from tests.support.shops import serve

if __name__ == "__main__":
    mounted = build(configuration.load())
    with serve(mounted.router) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)

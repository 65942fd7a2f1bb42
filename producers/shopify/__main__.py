"""`python -m producers.shopify`: one reconciling poll of every shop that is bound with an API address."""

import sys
import threading

from caudal import settings as configuration
from caudal.errors import CaudalError
from caudal.metrics import Metrics
from producers.connector import States
from producers.publish import Publisher
from producers.shopify.bindings import Bindings
from producers.shopify.reconcile import Reconciler


def main() -> int:
    """Print what was found by shop; the exit code is the error's."""
    settings = configuration.load()
    metrics, states = Metrics("shopify"), States(settings.data_dir)
    bound = [binding for binding in Bindings(settings.data_dir).all() if binding.api_url]
    try:
        with (
            Publisher(settings, source="shopify", metrics=metrics) as publisher,
            Reconciler(settings, publisher, states, metrics, threading.Event()) as reconciler,
        ):
            for shop, report in reconciler.poll(bound).items():
                sys.stdout.write(f"{shop}: {report.published} published, {sum(report.refused.values())} refused\n")
    except CaudalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    finally:
        states.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

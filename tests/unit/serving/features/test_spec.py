"""Feature specifications."""

import pytest

from serving.errors import SpecError
from serving.features import spec

GOOD = """
id: x
version: 1
source: a.b
labels: a.l
accounts: a.c
amount: amount
request: [amount]
entities:
  card: {ref: card_ref, holds: [m, d], cap: 10, windows: [PT24H], aggregate: [count]}
"""


def test_the_shipped_specification_is_read():
    """Eviction is the longest window, the label delay and one day."""
    shipped = spec.load()
    assert [e.keep_ms // spec.DAY_MS for e in shipped.entities] == [31, 38, 8]
    assert len(set(shipped.names)) == len(shipped.names)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PT24H", "yesterday"),
        ("[count]", "[median]"),
        ("cap: 10", "cap: 0"),
        ("id: x", "idd: x"),
        ("[amount]", "[luck]"),
    ],
)
def test_what_is_not_known_is_refused(old, new):
    """An unknown window, aggregate, entry or an impossible cap is an error, never a default."""
    with pytest.raises(SpecError):
        spec.parse(GOOD.replace(old, new))


def test_the_label_changes_with_the_meaning():
    """A decision names the exact specification it used."""
    assert spec.parse(GOOD).label != spec.parse(GOOD.replace("PT24H", "P7D")).label

"""Errors of the Shopify source.

CaudalError
├── ShapeError       an authentic payload does not have the shape of its topic (CDL-SHAPE), says the field
├── BindingError     `shops.json` cannot be used (exit 3)
└── ShopAway         the shop's API did not answer, or throttles (transient)
"""

from caudal.errors import CaudalError, SettingsError, TransientError


class ShapeError(CaudalError):
    """A payload does not have the shape that its topic promises. `path` names the field, never its value."""

    code = "CDL-SHAPE"

    def __init__(self, path: str, why: str) -> None:
        super().__init__("the payload does not fit its topic", where=path, why=why)
        self.path = path


class BindingError(SettingsError):
    """The file of shop bindings cannot be used."""

    code = "CDL-BINDINGS"


class ShopAway(TransientError):
    """The shop's API did not answer or asked for patience; `retry_after` says for how long."""

    code = "CDL-SHOP-AWAY"

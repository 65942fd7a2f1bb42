"""Errors of the files source.

CaudalError
├── MappingError     the YAML mapping cannot be used (exit 3)
├── RowError         one row does not fit the mapping; says the column, never the value
└── FolderError      the folder or bucket cannot be read, or a file shrank (exit 3)
"""

from caudal.errors import CaudalError, SettingsError


class MappingError(SettingsError):
    """The mapping file cannot be used."""

    code = "CDL-MAPPING"


class RowError(CaudalError):
    """A row does not fit the mapping."""

    code = "CDL-SHAPE"

    def __init__(self, column: str, why: str) -> None:
        super().__init__("the row does not fit the mapping", where=column, why=why)
        self.path = column


class FolderError(SettingsError):
    """The files cannot be read."""

    code = "CDL-FILES"

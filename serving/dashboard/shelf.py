"""Pages that other processes leave in the data folder: the catalogue. Nothing else of that folder can be named."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import Response
from fastapi.responses import HTMLResponse

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.(html|json)")
_TYPES = {"html": "text/html", "json": "application/json"}
# These pages bring their style with them, and neither a script nor a foreign address.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_NOT_YET = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Catalogue</title>
<h1>The catalogue has not been made yet</h1>
<p>The batch process makes it minutes after the first publish; <code>caudal catalogue build</code> makes it now.</p>
<p><a href="/">Back to the overview</a></p></html>"""


class Shelf:
    """The files of one folder, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def page(self, name: str, headers: dict[str, str]) -> Response | None:
        """The file, None when there is no such one; before there is any, a page that says so."""
        found = {**headers, "Content-Security-Policy": POLICY}
        if _NAME.fullmatch(name) is None:
            return None
        try:
            body = (self._folder / name).read_bytes()
        except OSError:
            return None if self._folder.is_dir() else HTMLResponse(_NOT_YET, 404, headers=found)
        return Response(body, media_type=_TYPES[name.rpartition(".")[2]], headers=found)

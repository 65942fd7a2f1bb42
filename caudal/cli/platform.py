"""`caudal up | down | status | logs | doctor`: the platform on this machine."""

from __future__ import annotations

import typer

app = typer.Typer()

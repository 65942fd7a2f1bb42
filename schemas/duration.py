"""ISO 8601 durations, as contracts write them: P7D, PT1H, P2Y. A year counts 365 days, a month 30."""

import re
from datetime import timedelta

_FORM = re.compile(
    r"P(?!$)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?!$)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII
)
_SECONDS = (365 * 86_400, 30 * 86_400, 7 * 86_400, 86_400, 3_600, 60, 1)


def parse(text: str) -> timedelta:
    """The duration; ValueError when the text is none."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ISO 8601 duration")
    return timedelta(seconds=sum(int(n) * s for n, s in zip(match.groups(), _SECONDS, strict=True) if n))


def render(span: timedelta) -> str:
    """The shortest of P<n>D, PT<n>H, PT<n>M, PT<n>S that says exactly this; `parse` reads it back."""
    seconds = int(span.total_seconds())
    if seconds % 86_400 == 0:
        return f"P{seconds // 86_400}D"
    for unit, size in (("H", 3_600), ("M", 60)):
        if seconds % size == 0:
            return f"PT{seconds // size}{unit}"
    return f"PT{seconds}S"

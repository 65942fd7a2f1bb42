"""How many files a query for one tenant reads is known from Delta's statistics."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.gold import depth

BOUND = st.one_of(st.none(), st.integers(0, 12).map(lambda n: f"t{n:02}"))


@settings(deadline=None)
@given(st.lists(st.tuples(BOUND, BOUND), max_size=12))
def test_the_depth_is_the_most_files_that_any_value_meets(bounds: list[tuple[str | None, str | None]]) -> None:
    """As counted value by value; a file that does not tell its bounds counts for every value."""
    ordered = [(low, high) if not low or not high or low <= high else (high, low) for low, high in bounds]
    added = pa.table(
        {"min.tenant_id": [low for low, _ in ordered], "max.tenant_id": [high for _, high in ordered]},
        schema=pa.schema([("min.tenant_id", pa.string()), ("max.tenant_id", pa.string())]),
    )
    met = [
        sum(low is None or high is None or low <= f"t{value:02}" <= high for low, high in ordered)
        for value in range(13)
    ]
    assert max(met) == depth(added, "tenant_id")


def test_files_without_statistics_are_all_read() -> None:
    """Where Delta kept no bounds nothing can be left out."""
    assert depth(pa.table({"path": ["a", "b"]}), "tenant_id") == 2

"""Arrow columns as lines of PostgreSQL's COPY text format, without a loop over rows.

A line is exact and stands for its row: equal rows make equal lines, whatever the null. So lines are what is sent, and
also what two versions of a mart are compared by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

NULL = "\\N"
# The backslash first: the others bring one of their own.
ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
# PostgreSQL's text holds every character but this one.
NUL, NUL_STANDS = "\x00", "\ufffd"


def lines(batch: pa.RecordBatch) -> pa.Array:
    """One line per row, without its end, as large strings."""
    import pyarrow.compute as pc

    texts = [_text(column) for column in batch.columns]
    return pc.binary_join_element_wise(*texts, _word("\t"), null_handling="replace", null_replacement=NULL)


def payload(found: pa.Array) -> memoryview:
    """The lines as the bytes that COPY takes. Shares the memory of a copy that this makes."""
    import pyarrow.compute as pc

    ended = pc.binary_join_element_wise(found, _word(""), _word("\n"))
    if len(ended) == 0:
        return memoryview(b"")
    # a kernel's result begins at the start of its buffer
    return memoryview(ended.buffers()[2])[: pc.sum(pc.binary_length(ended)).as_py()]


def _text(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return _escaped(_list(column))
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        # as UTC, which is what Arrow holds: a text with its zone takes forty times as long to make
        plain = column.cast(pa.timestamp(column.type.unit)).cast(pa.large_string())
        return pc.binary_join_element_wise(plain, _word("Z"), _word(""))
    texts = column.cast(pa.large_string())
    # numbers, times and booleans hold nothing that COPY would read as its own
    return _escaped(texts) if _is_text(column.type) else texts


def _list(column: pa.Array) -> pa.Array:
    """Lists as array literals: `{"a","b"}`, every element quoted, a null as NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _unnulled(column.values.cast(pa.large_string()))
    for plain, meant in (("\\", "\\\\"), ('"', '\\"')):
        values = pc.replace_substring(values, plain, meant)
    quoted = pc.binary_join_element_wise(_word('"'), values, _word('"'), _word(""))
    lists = pa.LargeListArray.from_arrays(column.offsets.cast(pa.int64()), pc.fill_null(quoted, "NULL"))
    joined = pc.binary_join_element_wise(_word("{"), pc.binary_join(lists, _word(",")), _word("}"), _word(""))
    return pc.if_else(column.is_valid(), joined, pa.scalar(None, pa.large_string()))


def _escaped(texts: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    texts = _unnulled(texts)
    if not pc.any(pc.match_substring_regex(texts, r"[\\\n\r\t]")).as_py():
        return texts
    for plain, meant in ESCAPES:
        texts = pc.replace_substring(texts, plain, meant)
    return texts


def _unnulled(texts: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.replace_substring(texts, NUL, NUL_STANDS)


def _word(text: str) -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(text, pa.large_string())


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

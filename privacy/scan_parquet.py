"""Parquet as the scan reads it: every value of every column, whatever its type and depth, as plain bytes."""

import io
from collections.abc import Iterator
from typing import Any


def decoded(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(column, its values one a line) of a Parquet file; numbers in decimal. Nothing for a file that is none."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(io.BytesIO(data), use_threads=False)
    except (pyarrow.ArrowException, OSError):
        return  # its raw bytes are searched all the same
    for column in table.column_names:
        for chunk in table.column(column).chunks:
            yield from _leaves(column, chunk)


def _leaves(name: str, array: Any) -> Iterator[tuple[str, bytes]]:
    import pyarrow
    import pyarrow.compute as compute
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind):
        yield from _leaves(name, array.dictionary)
    elif types.is_map(kind):
        yield from _leaves(f"{name}.key", array.keys)
        yield from _leaves(f"{name}.value", array.items)
    elif types.is_list(kind) or types.is_large_list(kind):
        yield from _leaves(name, array.values)
    elif types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _leaves(f"{name}.{kind.field(number).name}", array.field(number))
    else:
        if types.is_integer(kind) or types.is_decimal(kind):
            array = compute.cast(array, pyarrow.string())
        if types.is_large_string(array.type) or types.is_large_binary(array.type):
            array = compute.cast(array, pyarrow.binary())
        if types.is_string(array.type) or types.is_binary(array.type):
            values = array.drop_null()
            if len(values):
                rows = pyarrow.ListArray.from_arrays(pyarrow.array([0, len(values)], pyarrow.int32()), values)
                separator = pyarrow.scalar(b"\n" if types.is_binary(values.type) else "\n", values.type)
                joined = compute.binary_join(rows, separator)[0].as_buffer()
                yield name, joined.to_pybytes()

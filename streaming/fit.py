"""A decoded value in the exact type of its silver column: integers widened, structs matched by field name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType


def fit(value: Column, have: DataType, want: DataType) -> Column:
    """`value` of type `have` as `want`. Fields of a struct that `have` lacks become null; extra ones are left out.

    A plain CAST would match struct fields by place, and a version that adds one in the middle would shift the rest.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, MapType, StructType

    if _alike(have, want):
        return value.cast(want)
    if isinstance(have, StructType) and isinstance(want, StructType):
        parts = [
            fit(value[f.name], have[f.name].dataType, f.dataType).alias(f.name)
            if f.name in have.names
            else F.lit(None).cast(f.dataType).alias(f.name)
            for f in want.fields
        ]
        return F.when(value.isNotNull(), F.struct(*parts))
    if isinstance(have, ArrayType) and isinstance(want, ArrayType):
        return F.transform(value, lambda item: fit(item, have.elementType, want.elementType))
    if isinstance(have, MapType) and isinstance(want, MapType):
        return F.transform_values(value, lambda _, item: fit(item, have.valueType, want.valueType))
    return value.cast(want)


def _alike(have: DataType, want: DataType) -> bool:
    """Whether a CAST is safe: no structs, or structs with the same field names in the same places."""
    from pyspark.sql.types import ArrayType, MapType, StructType

    if isinstance(have, StructType) and isinstance(want, StructType):
        return have.names == want.names and all(
            _alike(a.dataType, b.dataType) for a, b in zip(have.fields, want.fields, strict=True)
        )
    if isinstance(have, ArrayType) and isinstance(want, ArrayType):
        return _alike(have.elementType, want.elementType)
    if isinstance(have, MapType) and isinstance(want, MapType):
        return _alike(have.valueType, want.valueType)
    return True

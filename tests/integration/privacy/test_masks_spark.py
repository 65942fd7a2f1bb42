"""Masks in Spark: the native expression keeps every mask as it is and changes everything else."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from privacy.masks import CLASSES, HIDDEN, is_mask, mask, mask_sql

pytestmark = pytest.mark.spark
VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "unit" / "privacy" / "vectors_masks.json").read_text(encoding="utf-8")
)
PLAIN = [
    "11144477735",
    "111.444.777-35",
    "1144477735",
    "12.ABC.345/01DE-35",
    "ana@example.com",
    "a@b.co",
    "o'neil+x@example.com",
    '"odd local"@example.com',
    "***ana@example.com",
    "an****@example.com",
    "***@exam ple.com",
    "***@11144477735",
    "+5511987654321",
    "****1234567890",
    "***12",
    "João Silva",
    "J*** Silva",
    "4111111111111111",
    "203.0.113.77",
    "203.0.113.77/24",
    "2001:db8::1",
    "\\",
    "$1",
    "'",
    "",
    " ",
    "***\n",
    "***.***.***-35\n",
    "***.***.***-35\u2028",
    "ab***@example.com\n",
    "***.***.***-35 11144477735",
    "x***.***.***-35",
]


def answers(spark: SparkSession, rows: list[tuple[str, str | None]]) -> list[tuple[str, str | None, str | None]]:
    """(class, value, what Spark makes of it) for each row, in one job."""
    cases = " ".join(f"WHEN cls = '{cls}' THEN {mask_sql(cls, '`value`')}" for cls in CLASSES)
    frame = spark.createDataFrame(rows, "cls STRING, value STRING").selectExpr("cls", "value", f"CASE {cases} END AS m")
    return [(row.cls, row.value, row.m) for row in frame.collect()]


def test_spark_and_python_agree(spark: SparkSession):
    """Every mask that Python makes is left alone by Spark; every other value is hidden; null stays null."""
    values = {value for cases in VECTORS.values() for value, _ in cases} | set(PLAIN)
    rows: list[tuple[str, str | None]] = [(cls, value) for cls in CLASSES for value in sorted(values)]
    rows += [(cls, mask(cls, value)) for cls in CLASSES for value in sorted(values)]
    rows += [(cls, None) for cls in CLASSES]
    for cls, value, seen in answers(spark, rows):
        expected = value if value is None or is_mask(cls, value) else HIDDEN
        assert seen == expected, f"{cls}: {value!r}"


def test_no_plaintext_survives(spark: SparkSession):
    """None of the plain values is taken for a mask, in any class; an array is enforced element by element."""
    for cls, value, seen in answers(spark, [(cls, value) for cls in CLASSES for value in PLAIN]):
        assert seen != value, f"{cls}: {value!r}"
    spelled = f"transform(array('ab***@x.io', 'ana@x.io', null), v -> {mask_sql('email', 'v')}) AS m"
    assert spark.range(1).selectExpr(spelled).first().m == ["ab***@x.io", HIDDEN, None]

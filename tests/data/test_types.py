from __future__ import annotations

import pyarrow as pa
import pytest

from pipelines.data.types import storable
from pipelines.errors import DataError


def test_the_same_values_in_other_types_are_kept_the_same() -> None:
    fancy = pa.schema(
        [
            pa.field("a", pa.dictionary(pa.int8(), pa.large_string()), nullable=False),
            ("b", pa.null()),
            ("c", pa.timestamp("ns", "Europe/Paris")),
            ("d", pa.timestamp("s")),
            ("e", pa.date64()),
            ("f", pa.int8()),
        ],
        metadata={"pandas": "{}"},
    )

    assert storable(fancy).equals(
        pa.schema(
            [
                ("a", pa.string()),
                ("b", pa.string()),
                ("c", pa.timestamp("us", "UTC")),
                ("d", pa.timestamp("us")),
                ("e", pa.date32()),
                ("f", pa.int8()),
            ]
        ),
        check_metadata=True,
    )


def test_a_type_that_parquet_cannot_hold_is_named_with_its_column() -> None:
    schema = pa.schema([("row", pa.int64()), ("pause", pa.month_day_nano_interval())])

    with pytest.raises(DataError, match="Column 'pause' has type month_day_nano_interval, which Parquet cannot hold"):
        storable(schema)

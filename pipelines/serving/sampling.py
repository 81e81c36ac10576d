"""Choose the rows that a challenger answers too: a share of them, by the hash of their key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipelines.data.keys import without_text
from pipelines.data.manifests import HoldoutRule
from pipelines.data.splits import connected, held_out

SALT = "canary"  # no holdout's: whoever is held out must be no likelier to be chosen here


def chosen_rows(rows: pa.Table, key_columns: Sequence[str], share: float, scratch: Path) -> pa.Array:
    """Return which rows are chosen, booleans of shape (n,): a key is chosen in every partition and run, or in none.

    A larger share chooses all that a smaller one does, and more. A key that has no canonical text is never chosen.

    Args:
        rows: Rows with at least the key columns.
        key_columns: What tells rows apart.
        share: From 0 to less than 1.
        scratch: A folder for what DuckDB cannot hold in memory.

    Raises:
        DataError: If a key column has a type that has no text.
    """
    rule = HoldoutRule(by="key", columns=tuple(key_columns), share=share, salt=SALT)
    condition = f"CASE WHEN {without_text(rows.schema, key_columns)} THEN false ELSE {held_out(rule, rows.schema)} END"
    with connected(scratch) as connection:
        found = connection.from_arrow(rows).project(f"coalesce({condition}, false) AS chosen").to_arrow_table()
    return found.column(0).combine_chunks()

"""What a search reads: its plan and its rows, through a view of the store that holds the training side and nothing
else."""

from __future__ import annotations

from pipelines.classic.search.rows import Rows, read_rows
from pipelines.data.snapshots import read_training, training_view
from pipelines.records import SnapshotRef
from pipelines.spec import ClassicSpec
from pipelines.store import Store


def read_training_rows(store: Store, spec: ClassicSpec, snapshot: SnapshotRef) -> Rows:
    """Return a snapshot's training rows: features, target and, for folds along time, the time column.

    Raises:
        DataError: If the rows cannot be learnt from.
        IntegrityError: If a file is not what was written.
        HoldoutRefused: If anything beyond the training side were asked for.
    """
    training = spec.training
    time_column = spec.source.time_column if training.folds == "time" else None
    named = dict.fromkeys([*training.features, training.target, *([time_column] if time_column else [])])
    table = read_training(training_view(store, snapshot), snapshot, list(named))
    return read_rows(table, training, time_column)

"""What each feature is worth to a candidate: found out once, when it is evaluated, and kept for whoever watches it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipelines.classic.evaluation.importance import Importance, importance_of
from pipelines.classic.evaluation.models import load_candidate
from pipelines.data.snapshots import read_holdout
from pipelines.records import Candidate, Record
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context
from pipelines.store.verified import put_first_record, read_record


class Importances(Record):
    """What shuffling each column cost in each round, the dearest first, in the search metric's unit."""

    costs: tuple[tuple[str, tuple[float, ...]], ...]


def importances(
    context: Context[ClassicSpec], candidate: Candidate, loaded: tuple[Any, pa.Table] | None = None
) -> list[Importance]:
    """Return what each feature is worth to a candidate on its holdout, the dearest first.

    Args:
        context: The model's surroundings.
        candidate: Whose features.
        loaded: Its estimator and the rows of its holdout, where they are at hand.

    Raises:
        IntegrityError: If the model or its holdout is not what was written.
    """
    store, model = context.store, context.spec.name
    key = f"{model}/evaluations/{candidate.model_sha256}.importances.json"
    if store.stat(key) is not None:
        return _read(read_record(store, key, Importances))
    estimator, holdout = loaded or (
        load_candidate(store, candidate),
        read_holdout(store, model, candidate.snapshot_id),
    )
    found = importance_of(estimator, context.spec.training, holdout)
    kept = Importances(costs=tuple((one.column, one.costs) for one in found))
    return _read(put_first_record(store, key, kept))  # how often a column is shuffled hangs on the clock


def _read(kept: Importances) -> list[Importance]:
    return [Importance(column, costs) for column, costs in kept.costs]

"""The per-item evidence of an evaluation as one table: what each model scored on each item."""

from __future__ import annotations

import pyarrow as pa

from pipelines.llm.evaluation.models import Scored
from pipelines.llm.evaluation.scores import Score

_SHARED = ("measure", "item", "slice", "cluster")


def scores_table(scored: Scored) -> pa.Table:
    """Return one row an item of a measure, in the order in which they were scored.

    Returns:
        Columns `measure`, `item`, `slice`, `cluster`, `under`, and for challenger, champion and base `<model>.over`
        and `<model>.text`; a metric is the sum of `over` by the sum of `under`. Without a champion it has no columns.
    """
    models = {"challenger": scored.challenger, "champion": scored.champion, "base": scored.base}
    columns = {name: pa.array([getattr(score, name) for score in scored.challenger], pa.string()) for name in _SHARED}
    columns["under"] = pa.array([score.under for score in scored.challenger], pa.float64())
    for model, scores in models.items():
        if scores is None:
            continue
        found = {(score.measure, score.item): score for score in scores}
        aligned: list[Score | None] = [found.get((score.measure, score.item)) for score in scored.challenger]
        columns[f"{model}.over"] = pa.array([None if one is None else one.over for one in aligned], pa.float64())
        columns[f"{model}.text"] = pa.array([None if one is None else one.text for one in aligned], pa.string())
    return pa.table(columns)

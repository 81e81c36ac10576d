"""Compare the profile of new rows with that of the reference, column by column; neither's rows are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from pipelines.data.profiles import ColumnProfile, Profile
from pipelines.data.profiling import profile_table
from pipelines.data.quantiles import QuantileSummary
from pipelines.monitoring.distances import Apart, benjamini_hochberg, categories_apart, missing_share, numbers_apart
from pipelines.records import ColumnDrift, number_or_none
from pipelines.spec.watching import Drift

MOSTLY_DISTINCT = 0.5  # share of texts that are different ones, above which they are no categories but writing

Measure = Literal["ks", "total_variation"]


def column_drift(
    reference: Profile,
    new: Profile,
    settings: Drift,
    columns: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    usual: Mapping[str, float] | None = None,
) -> tuple[ColumnDrift, ...]:
    """Return how far each column of the new rows is from the reference; none of them is `persistent` yet.

    A column has drifted where its distance is at least `settings.minimum_distance`, more than `usual`, and no chance:
    the false discovery rate over all columns given is at most `settings.false_discovery_rate`. Whether the distance is
    far does not hang on the number of rows, and with ever more rows nothing small becomes far.

    Args:
        reference: What is compared with.
        new: What is looked at.
        settings: The bounds.
        columns: The columns that are looked at, in this order; all that both sides have where left out. Those that one
            side has not, or has as another family, are left out: they are no drift but a change of schema.
        weights: Each column's share of the champion's importance, see `shares_of_importance`; 0 where left out.
        usual: How far each column was in the training rows themselves from one partition to the others, see
            `usual_distances`; 0 where left out.
    """
    left = {column.name: column for column in reference.columns}
    right = {column.name: column for column in new.columns}
    names = [name for name in dict.fromkeys(columns or left) if name in left and name in right]
    pairs = [(left[name], right[name]) for name in names if _measure(left[name], right[name])]
    apart = [compare(*pair) for pair in pairs]
    p_values = np.array([one.p_value for one in apart if one is not None])
    q_values = iter(benjamini_hochberg(p_values).tolist())
    rows = [(pair, one, None if one is None else next(q_values)) for pair, one in zip(pairs, apart, strict=True)]
    return tuple(
        _record(*pair, one, q_value, settings, (weights or {}).get(pair[0].name, 0.0), (usual or {}).get(pair[0].name))
        for pair, one, q_value in rows
    )


def compare(reference: ColumnProfile, new: ColumnProfile) -> Apart | None:
    """Return how far one column is from the reference; None where a side has no value, or has another family."""
    if "empty" in (reference.family, new.family) or not (measure := _measure(reference, new)):
        return None
    if measure == "total_variation":
        return categories_apart(reference, new)
    summaries = [_summary(column) for column in (reference, new)]
    if summaries[0] is None or summaries[1] is None:
        return None
    return numbers_apart(reference, new, summaries[0], summaries[1])


def shares_of_importance(importance: Mapping[str, float], columns: Sequence[str]) -> dict[str, float]:
    """Return each column's share of what all of them are worth to the champion; the shares add up to 1.

    What a column costs may be below 0 by chance: that is 0. Where nothing is known of any column, all weigh the same.

    >>> shares_of_importance({"hour": 0.03, "carrier": 0.01, "minute": -0.002}, ["hour", "carrier", "minute"])
    {'hour': 0.75, 'carrier': 0.25, 'minute': 0.0}
    """
    worth = {column: max(importance.get(column, 0.0), 0.0) for column in columns}
    total = sum(worth.values())
    return {column: value / total if total else 1 / len(worth) for column, value in worth.items()}


def profile_of_predictions(predictions: pa.Table) -> Profile:
    """Return the profile of what was answered: all columns of a scored table that are named in `is_answer`.

    Args:
        predictions: Scored rows, or those of a stored file of predictions; its other columns are not looked at.
    """
    return profile_table(predictions.select([name for name in predictions.column_names if is_answer(name)]))


def is_answer(column: str) -> bool:
    """Tell whether a column of a scored table is an answer: a prediction, a probability, a text or its length."""
    return column in ("prediction", "answer", "num_answer_tokens") or column.startswith("prediction.")


def _measure(reference: ColumnProfile, new: ColumnProfile) -> Measure | None:
    families = {reference.family, new.family} - {"empty"}
    if len(families) > 1 or "other" in families:
        return None
    if not families & {"text", "boolean"}:
        return "ks"
    both = [column for column in (reference, new) if column.text is not None]
    is_writing = all(
        column.text is not None
        and column.text.lengths is not None
        and column.num_distinct > MOSTLY_DISTINCT * column.text.count
        for column in both
    )
    return "ks" if is_writing else "total_variation"


def _summary(column: ColumnProfile) -> QuantileSummary | None:
    """Return the distribution of numbers, or of the lengths of texts."""
    if column.number is not None:
        return column.number.summary if column.number.count else None
    return None if column.text is None or column.text.lengths is None else QuantileSummary.decode(column.text.lengths)


def _record(
    reference: ColumnProfile,
    new: ColumnProfile,
    apart: Apart | None,
    q_value: float | None,
    settings: Drift,
    weight: float,
    usual: float | None,
) -> ColumnDrift:
    far = max(settings.minimum_distance, 0.0 if usual is None else usual)
    return ColumnDrift(
        column=new.name,
        measure=_measure(reference, new) or "ks",
        distance=None if apart is None else apart.distance,
        psi=None if apart is None else number_or_none(apart.psi),
        p_value=None if apart is None else apart.p_value,
        q_value=q_value,
        null_share=missing_share(new),
        reference_null_share=missing_share(reference),
        drifted=apart is not None and q_value is not None and _is_drift(apart.distance, far, q_value, settings),
        persistent=False,
        weight=weight,
        num_rows=new.num_rows,
        num_reference_rows=reference.num_rows,
        usual_distance=usual,
    )


def _is_drift(distance: float, far: float, q_value: float, settings: Drift) -> bool:
    return distance >= far and q_value <= settings.false_discovery_rate

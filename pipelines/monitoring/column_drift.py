"""Compare the profile of new rows with that of the reference, column by column; neither's rows are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.data.profiles import ColumnProfile, Profile
from pipelines.data.profiling import profile_table
from pipelines.data.quantiles import QuantileSummary
from pipelines.data.words import MOSTLY_DISTINCT
from pipelines.monitoring.distances import Apart, benjamini_hochberg, categories_apart, missing_share, numbers_apart
from pipelines.monitoring.writing import centroids_apart, words_apart
from pipelines.records import ColumnDrift, number_or_none
from pipelines.spec.watching import Drift

Measure = Literal["ks", "total_variation", "words", "centroid"]


class Look(NamedTuple):
    """One way in which a column is compared: `name` is the column's, and how it is looked at where it is writing.

    `apart` is None where a side has no value.
    """

    name: str
    measure: Measure
    apart: Apart | None


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
        weights: Each column's share of the champion's importance, see `shares_of_importance`; 0 where left out. The
            ways in which one column is compared share it.
        usual: How far each column was in the training rows themselves from one partition to the others, by the name of
            the way it is looked at, see `usual_distances`; 0 where left out.
    """
    left = {column.name: column for column in reference.columns}
    right = {column.name: column for column in new.columns}
    names = [name for name in dict.fromkeys(columns or left) if name in left and name in right]
    looks = [(name, looks_at(left[name], right[name])) for name in names]
    p_values = np.array([look.apart.p_value for _, found in looks for look in found if look.apart is not None])
    q_values = iter(benjamini_hochberg(p_values).tolist())
    return tuple(
        _record(
            left[name],
            right[name],
            look,
            None if look.apart is None else next(q_values),
            settings,
            (weights or {}).get(name, 0.0) / len(found),
            (usual or {}).get(look.name),
        )
        for name, found in looks
        for look in found
    )


def looks_at(reference: ColumnProfile, new: ColumnProfile) -> list[Look]:
    """Return how far one column is from the reference, in each way in which it can be compared.

    Numbers, times and categories are compared in one way. Writing is in up to three: its length, its words where both
    profiles have counted them, and what it is about where one model has read both. A column of two families in none.
    """
    families = {reference.family, new.family} - {"empty"}
    if len(families) > 1 or "other" in families:
        return []
    has_values = "empty" not in (reference.family, new.family)
    name = new.name
    if not families & {"text", "boolean"}:
        return [Look(name, "ks", _numbers_apart(reference, new) if has_values else None)]
    if not _is_writing(reference, new):
        return [Look(name, "total_variation", categories_apart(reference, new) if has_values else None)]
    looks = [Look(f"{name} (length)", "ks", _numbers_apart(reference, new) if has_values else None)]
    if reference.text is not None and new.text is not None:
        words, centroid = words_apart(reference.text, new.text), centroids_apart(reference.text, new.text)
        looks += [] if words is None else [Look(f"{name} (words)", "words", words)]
        looks += [] if centroid is None else [Look(f"{name} (meaning)", "centroid", centroid)]
    return looks


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


def _is_writing(reference: ColumnProfile, new: ColumnProfile) -> bool:
    """Tell whether texts are no categories: nearly every one of the reference is another one.

    New texts may be often the same, where somebody has said that they are writing, and their words were counted.
    """
    return all(
        column.text is None
        or (
            column.text.lengths is not None
            and (
                column.num_distinct > MOSTLY_DISTINCT * column.text.count
                or (column is new and column.text.words is not None)
            )
        )
        for column in (reference, new)
    )


def _numbers_apart(reference: ColumnProfile, new: ColumnProfile) -> Apart | None:
    left, right = _summary(reference), _summary(new)
    return None if left is None or right is None else numbers_apart(reference, new, left, right)


def _summary(column: ColumnProfile) -> QuantileSummary | None:
    """Return the distribution of numbers, or of the lengths of texts."""
    if column.number is not None:
        return column.number.summary if column.number.count else None
    return None if column.text is None or column.text.lengths is None else QuantileSummary.decode(column.text.lengths)


def _record(
    reference: ColumnProfile,
    new: ColumnProfile,
    look: Look,
    q_value: float | None,
    settings: Drift,
    weight: float,
    usual: float | None,
) -> ColumnDrift:
    far, apart = max(settings.minimum_distance, 0.0 if usual is None else usual), look.apart
    return ColumnDrift(
        column=look.name,
        measure=look.measure,
        distance=None if apart is None else apart.distance,
        psi=None if apart is None or apart.psi is None else number_or_none(apart.psi),
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

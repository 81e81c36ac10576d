"""Tell whether new rows differ in the whole where no column does alone: can a classifier tell them from the reference?

A shift of correlations leaves every column as it was. A small gradient boosting is fitted to tell new rows from a
sample of the reference, and judged on rows that it was not fitted on. Source: Lopez-Paz and Oquab, Revisiting
Classifier Two-Sample Tests (ICLR 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import norm, rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from pipelines.monitoring.sampling import PARTITION
from pipelines.records import JointDrift
from pipelines.spec.watching import Drift

FEWEST_ROWS = 200  # a side
NUM_FOLDS = 3
CONFIDENCE = 0.95
TELLS_THE_PERIOD = 0.5  # usual distance from which a column says little but which partition a row is from
_MOST_CATEGORIES = 254  # scikit-learn's gradient boosting takes 255

Floats = npt.NDArray[np.float64]


def joint_columns(columns: Sequence[str], usual: Mapping[str, float]) -> list[str]:
    """Return the columns that are looked at together: all but those that tell one training partition from the others.

    With the day of the month among them, every window of one day could be told from everything.
    """
    return [column for column in columns if usual.get(column, 0.0) < TELLS_THE_PERIOD]


def joint_drift(
    reference: pa.Table, new: pa.Table, columns: Sequence[str], settings: Drift, seed: int = 0
) -> JointDrift:
    """Return how well the new rows can be told from the reference, the same for the same rows and seed.

    Drifted: the low end of the interval lies above 0.5 by more than half of `settings.minimum_distance`. Whoever looks
    at one column that is just that far (Kolmogorov-Smirnov) and guesses by the one best bound reaches exactly that. And
    it lies above `usual_auc`, how well the newest training partition can be told from the others: weather tells one
    month from the next, and that is no reason to look.

    Args:
        reference: A sample of the reference. With a column `PARTITION`, `usual_auc` is told.
        new: A sample of the new rows.
        columns: The columns that are looked at; those that either side has not are left out.
        settings: The bound.
        seed: Decides the folds.
    """
    names = [name for name in columns if name in reference.column_names and name in new.column_names]
    told = _tell_apart(reference, new, names, seed)
    if told is None:
        return JointDrift(auc=None, low=None, high=None, num_rows=new.num_rows, drifted=False)
    auc, half = told
    usual = _usual_area(reference, names, seed)
    return JointDrift(
        auc=auc,
        low=max(auc - half, 0.0),
        high=min(auc + half, 1.0),
        num_rows=new.num_rows,
        drifted=auc - half > max(0.5 + settings.minimum_distance / 2, usual or 0.0),
        usual_auc=usual,
    )


def _usual_area(reference: pa.Table, names: Sequence[str], seed: int) -> float | None:
    """Return how well the newest partition with enough rows is told from the others; None where there is none."""
    if PARTITION not in reference.column_names:
        return None
    counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(reference[PARTITION]).to_pylist()}
    for name in sorted(counts, reverse=True):
        if counts[name] >= FEWEST_ROWS:
            inside = pc.equal(reference[PARTITION], name)
            told = _tell_apart(reference.filter(pc.invert(inside)), reference.filter(inside), names, seed)
            return None if told is None else told[0]
    return None


def _tell_apart(reference: pa.Table, new: pa.Table, names: Sequence[str], seed: int) -> tuple[float, float] | None:
    """Return the mean area under the ROC curve over the folds, and half its interval; None with too few rows."""
    encoded = [_encode(reference[name], new[name]) for name in names]
    usable = [pair for pair in encoded if pair is not None]
    if min(reference.num_rows, new.num_rows) < FEWEST_ROWS or not usable:
        return None
    values, is_categorical = np.column_stack([column for column, _ in usable]), np.array([one for _, one in usable])
    is_new = np.repeat([0, 1], [reference.num_rows, new.num_rows])
    found = []
    for fitted, judged in StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed).split(values, is_new):
        known = ~np.isnan(values[fitted]).all(axis=0)  # scikit-learn has no bins for a column without a value
        if not known.any():
            return None
        classifier = HistGradientBoostingClassifier(
            max_iter=30,
            learning_rate=0.2,
            max_leaf_nodes=8,
            min_samples_leaf=50,
            early_stopping=False,
            categorical_features=is_categorical[known],
            random_state=seed,
        )
        with threadpool_limits(1, "openmp"):  # so few rows are sooner done by one thread, above all beside others
            classifier.fit(values[fitted][:, known], is_new[fitted])
            scores = classifier.predict_proba(values[judged][:, known])[:, 1]
        found.append(area_and_variance(scores[is_new[judged] == 0], scores[is_new[judged] == 1]))
    error = np.sqrt(sum(variance for _, variance in found)) / NUM_FOLDS
    return float(np.mean([area for area, _ in found])), float(norm.ppf((1 + CONFIDENCE) / 2) * error)


def area_and_variance(low: Floats, high: Floats) -> tuple[float, float]:
    """Return the area under the ROC curve, and its variance, of scores that should be low, (n,), and high, (m,).

    >>> area_and_variance(np.array([0.1, 0.2, 0.3]), np.array([0.25, 0.4]))[0].__round__(3)
    0.833

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); ranks as in Sun and Xu, IEEE SPL 21 (2014).
    """
    ranks = rankdata(np.concatenate([low, high]))
    above = (ranks[low.size :] - rankdata(high)) / low.size  # share of the low scores below each high one
    below = 1 - (ranks[: low.size] - rankdata(low)) / high.size
    return float(above.mean()), float(above.var(ddof=1) / high.size + below.var(ddof=1) / low.size)


def _encode(reference: pa.ChunkedArray, new: pa.ChunkedArray) -> tuple[Floats, bool] | None:
    """Return the values of both sides as one column of numbers, and whether these are codes of categories."""
    kinds = [_kind(side.type) for side in (reference, new)]
    if kinds[0] != kinds[1] or kinds[0] == "other":
        return None
    if kinds[0] == "text":
        texts = pa.chunked_array([*_plain(reference).chunks, *_plain(new).chunks], pa.large_string())
        counted = pc.value_counts(texts.drop_null()).to_pylist()
        frequent = sorted(counted, key=lambda pair: (-pair["counts"], pair["values"]))[:_MOST_CATEGORIES]
        codes = pc.index_in(texts, pa.array([pair["values"] for pair in frequent], pa.large_string()))
        rest = pc.if_else(pc.is_null(texts), pa.scalar(None, pa.int32()), pc.fill_null(codes, _MOST_CATEGORIES))
        return _floats(rest), True
    return np.concatenate([_floats(_as_number(side)) for side in (reference, new)]), False


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "time"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number"
    if pa.types.is_boolean(type_):
        return "boolean"
    is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
    return "text" if is_text else "other"


def _plain(side: pa.ChunkedArray) -> pa.ChunkedArray:
    return side.cast(pa.large_string())


def _as_number(side: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(side.type):
        side = side.cast(side.type.value_type)
    if _kind(side.type) == "time":
        return side.cast(pa.timestamp("us", getattr(side.type, "tz", None)), safe=False).cast(pa.int64())
    return side


def _floats(values: pa.ChunkedArray) -> Floats:
    numbers = values.cast(pa.float64(), safe=False).to_numpy()
    return np.where(np.isfinite(numbers), numbers, np.nan)

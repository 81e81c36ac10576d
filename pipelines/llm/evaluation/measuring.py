"""Make metrics with intervals of per-item scores, each model paired with the others on the same items.

A metric is a ratio of two sums over items (nats by tokens, hits by items). In each resample clusters of items are drawn
with replacement, and both sums are taken anew: the interval of a ratio, and of a difference of two, follows from that
without any formula. Every metric of every model meets the same resamples.

The sums below the line are the challenger's for all models. Where a champion has another tokenizer, its nats over the
same text are so divided by the same number, and stay comparable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.gates.bootstrap import FEWEST_CLUSTERS, resampling_weights
from pipelines.gates.samples import Figures, Place, Sample, differences_of, values_of
from pipelines.llm.evaluation.scores import Score
from pipelines.records import MetricValue, PairedDifference
from pipelines.spec.fine_tuning import LLM_METRICS

OVERALL = "all"
DERIVED = {"perplexity": "answer_loss"}
Array = NDArray[Any]


@dataclass(frozen=True)
class _Table:
    """One measure of all models: `over` by model and `under`, shape (n,); `clusters` are codes, shape (n,)."""

    over: Mapping[str, Array]
    under: Array
    clusters: Array
    rows: Mapping[str, Array]

    @property
    def num_clusters(self) -> int:
        return int(self.clusters.max()) + 1


def measure_all(
    challenger: Sequence[Score],
    champion: Sequence[Score] | None,
    base: Sequence[Score],
    slices: Mapping[str, frozenset[str]],
    samples: int,
    seed: int,
) -> Figures:
    """Return every metric that was scored, on all items and on each slice, with 95 % intervals.

    Args:
        challenger: Its scores.
        champion: The champion's on the same items, or None where there is none.
        base: The pretrained model's on the same items.
        slices: Names of items by the slice's name, such as `language=en`; a measure is cut by those it has items of.
        samples: How many resamples.
        seed: Of the resamples.
    """
    models = {"challenger": challenger, "base": base} | ({} if champion is None else {"champion": champion})
    sampled: dict[str, dict[Place, Sample]] = {name: {} for name in models}
    num_rows: dict[Place, int] = {}
    for metric in LLM_METRICS:
        table = _table(models, DERIVED.get(metric, metric), slices)
        if table is None:
            continue
        for name, rows in table.rows.items():
            num_rows[metric, name] = len(rows)
        for model in models:
            sampled[model] |= _samples(metric, table, model, samples, seed)
    ours, theirs = sampled["challenger"], sampled.get("champion", {})
    return Figures(
        metrics=_values(ours, num_rows),
        champion_metrics=_values(theirs, num_rows),
        differences=_differences(ours, theirs, num_rows) if champion is not None else (),
        base_metrics=_values(sampled["base"], num_rows),
        base_differences=_differences(ours, sampled["base"], num_rows),
    )


def _table(models: Mapping[str, Sequence[Score]], measure: str, slices: Mapping[str, frozenset[str]]) -> _Table | None:
    own = {
        model: {score.item: score for score in scores if score.measure == measure} for model, scores in models.items()
    }
    items = [score for score in own["challenger"].values() if score.under > 0]
    if not items:
        return None
    over = {
        model: np.array([_finite(found[score.item].over) if score.item in found else np.nan for score in items])
        for model, found in own.items()
    }
    clusters = np.unique([score.cluster or score.item for score in items], return_inverse=True)[1]
    places: dict[str, list[int]] = {OVERALL: list(range(len(items)))}
    for place, score in enumerate(items):
        if score.slice:
            places.setdefault(score.slice, []).append(place)
    for name, members in slices.items():
        if found := [place for place, score in enumerate(items) if score.item in members]:
            places[name] = found
    under = np.array([score.under for score in items])
    return _Table(over, under, clusters, {name: np.array(rows) for name, rows in places.items()})


def _samples(metric: str, table: _Table, model: str, samples: int, seed: int) -> dict[Place, Sample]:
    found: dict[Place, list[Array]] = {(metric, name): [] for name in table.rows}
    sums = {name: _sums(table, model, rows) for name, rows in table.rows.items()}
    blocks = (np.ones((1, table.num_clusters)), *resampling_weights(table.num_clusters, samples, seed))
    for weights in blocks:
        for name, (over, under) in sums.items():
            found[metric, name].append(_ratio(weights @ over, weights @ under, metric))
    joined = {place: np.concatenate(values) for place, values in found.items()}
    return {
        (metric, name): Sample(float(values[0]), values[1:] if _can_resample(table, name) else values[1:] * np.nan)
        for (metric, name), values in joined.items()
    }


def _sums(table: _Table, model: str, rows: Array) -> tuple[Array, Array]:
    """Return the sums above and below the line by cluster, each of shape (clusters,)."""
    clusters = table.clusters[rows]
    over = np.bincount(clusters, table.over[model][rows], table.num_clusters)
    return over, np.bincount(clusters, table.under[rows], table.num_clusters)


def _ratio(over: Array, under: Array, metric: str) -> Array:
    quotient: Array = np.divide(over, under, out=np.full(under.shape, np.nan), where=under > 0)
    if metric != "perplexity":
        return quotient
    with np.errstate(over="ignore"):  # a model that is lost has no finite one: it is not measured
        found = np.exp(quotient)
    return np.where(np.isfinite(found), found, np.nan)


def _finite(number: float) -> float:
    return number if math.isfinite(number) else math.nan


def _can_resample(table: _Table, name: str) -> bool:
    return len(np.unique(table.clusters[table.rows[name]])) >= FEWEST_CLUSTERS


def _values(samples: Mapping[Place, Sample], num_rows: Mapping[Place, int]) -> tuple[MetricValue, ...]:
    return tuple(
        figure
        for place, sample in samples.items()
        for figure in values_of({place: sample}, {place[1]: num_rows[place]})
    )


def _differences(
    ours: Mapping[Place, Sample], theirs: Mapping[Place, Sample], num_rows: Mapping[Place, int]
) -> tuple[PairedDifference, ...]:
    return tuple(
        figure
        for place, sample in ours.items()
        for figure in differences_of({place: sample}, {place: theirs[place]}, {place[1]: num_rows[place]})
    )

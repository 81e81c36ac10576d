"""Metrics of per-item scores, with intervals that know which items belong together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipelines.gates.bootstrap import percentile_interval, resampling_weights
from pipelines.gates.samples import Figures
from pipelines.llm.evaluation.measuring import measure_all
from pipelines.llm.evaluation.scores import Score
from pipelines.spec.fine_tuning import LLM_METRICS

SAMPLES, SEED = 200, 3


def _losses(num_items: int, shift: float = 0.0, group: int = 1, seed: int = 0) -> list[Score]:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, 50, num_items)
    nats = tokens * (2.0 + generator.normal(size=num_items) + shift)
    return [
        Score("answer_loss", f"item {n}", float(nats[n]), float(tokens[n]), f"group {n // group}")
        for n in range(num_items)
    ]


def _hits(name: str, values: list[float], slice_name: str = "") -> list[Score]:
    return [Score(name, f"{slice_name} {n}", value, slice=slice_name) for n, value in enumerate(values)]


def _measured(ours: list[Score], base: list[Score] | None = None, **settings: Any) -> Figures:
    fields: dict[str, Any] = {"champion": None, "slices": {}, **settings}
    return measure_all(ours, fields["champion"], base or ours, fields["slices"], SAMPLES, SEED)


def _of(figures: tuple[Any, ...], metric: str, name: str = "all") -> Any:
    (found,) = [figure for figure in figures if (figure.metric, figure.slice) == (metric, name)]
    return found


def test_loss_is_by_token_and_perplexity_follows_it_in_each_resample() -> None:
    scores = _losses(60)
    over, under = np.array([one.over for one in scores]), np.array([one.under for one in scores])
    order = np.unique([one.cluster for one in scores], return_inverse=True)[1]
    weights = np.vstack(list(resampling_weights(60, SAMPLES, SEED)))[:, order]
    resampled = (weights @ over) / (weights @ under)
    figures = _measured(scores)
    loss, perplexity = _of(figures.metrics, "answer_loss"), _of(figures.metrics, "perplexity")
    assert loss.value == pytest.approx(over.sum() / under.sum())
    assert (loss.low, loss.high) == pytest.approx(percentile_interval(resampled))
    assert perplexity.value == pytest.approx(math.exp(loss.value))
    assert (perplexity.low, perplexity.high) == pytest.approx(percentile_interval(np.exp(resampled)))


def test_items_that_belong_together_widen_the_interval() -> None:
    apart = _of(_measured([Score("toxicity", str(n), float(n // 20 % 2)) for n in range(400)]).metrics, "toxicity")
    together = _of(
        _measured([Score("toxicity", str(n), float(n // 20 % 2), cluster=str(n // 20)) for n in range(400)]).metrics,
        "toxicity",
    )
    assert apart.value == together.value == 0.5
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_a_pair_cancels_what_is_hard_about_the_items() -> None:
    ours, base = _losses(80, shift=-0.1), _losses(80)
    figures = _measured(ours, base)
    difference, alone = _of(figures.base_differences, "answer_loss"), _of(figures.metrics, "answer_loss")
    assert difference.value == pytest.approx(-0.1)
    assert difference.high - difference.low < 0.001 < alone.high - alone.low


def test_the_champion_is_paired_as_the_base_is() -> None:
    ours, champion = _losses(80, shift=-0.1), _losses(80)
    figures = _measured(ours, _losses(80, shift=0.3), champion=champion)
    assert _of(figures.differences, "answer_loss").value == pytest.approx(-0.1)
    assert _of(figures.base_differences, "answer_loss").value == pytest.approx(-0.4)
    assert _of(figures.champion_metrics, "answer_loss") == _of(_measured(champion).metrics, "answer_loss")


def test_a_champion_with_other_tokens_is_divided_by_ours() -> None:
    ours = _losses(50)
    champion = [Score(one.measure, one.item, one.over, 2 * one.under, one.cluster) for one in ours]
    figures = _measured(ours, champion=champion)
    assert _of(figures.differences, "answer_loss").value == 0.0


def test_suites_and_columns_are_slices_of_their_own_measures() -> None:
    general = _hits("general_accuracy", [1.0] * 10, "suite=a") + _hits("general_accuracy", [0.0] * 30, "suite=b")
    german = frozenset(f"item {n}" for n in range(0, 40, 4))
    figures = _measured([*_losses(40), *general], slices={"language=de": german})
    assert {(one.metric, one.slice): one.num_rows for one in figures.metrics} == {
        ("answer_loss", "all"): 40, ("answer_loss", "language=de"): 10,
        ("perplexity", "all"): 40, ("perplexity", "language=de"): 10,
        ("general_accuracy", "all"): 40, ("general_accuracy", "suite=a"): 10, ("general_accuracy", "suite=b"): 30,
    }  # fmt: skip
    assert _of(figures.metrics, "general_accuracy").value == 0.25
    assert _of(figures.metrics, "general_accuracy", "suite=a").value == 1.0


def test_few_clusters_have_a_value_and_no_interval() -> None:
    few = _of(_measured(_losses(40, group=10)).metrics, "answer_loss")
    assert few.value is not None
    assert few.low is few.high is None
    assert _of(_measured(_losses(40, group=8)).metrics, "answer_loss").low is not None


@pytest.mark.parametrize("hole", [math.nan, math.inf])
def test_one_item_without_a_number_leaves_a_metric_unmeasured(hole: float) -> None:
    scores = _losses(40)
    broken = [*scores[:-1], Score("answer_loss", scores[-1].item, hole, 3.0, scores[-1].cluster)]
    figures = _measured(broken, scores)
    for metric in ("answer_loss", "perplexity"):
        assert _of(figures.metrics, metric).value is None
        assert _of(figures.base_differences, metric).value is None
        assert _of(figures.base_metrics, metric).value is not None


def test_an_item_that_a_model_did_not_answer_leaves_the_difference_unmeasured() -> None:
    scores = _losses(40)
    figures = _measured(scores, scores[:-1])
    assert _of(figures.metrics, "answer_loss").value is not None
    assert _of(figures.base_differences, "answer_loss").value is None


def test_conversations_without_a_token_to_learn_do_not_count() -> None:
    scores = [*_losses(40), Score("answer_loss", "empty", 0.0, 0.0, "group x")]
    assert _of(_measured(scores).metrics, "answer_loss").num_rows == 40


def test_only_known_metrics_become_figures() -> None:
    scores = [Score(name, str(n), 1.0) for name in (*LLM_METRICS, "answer", "other") for n in range(9)]
    assert {one.metric for one in _measured(scores).metrics} == set(LLM_METRICS)


def test_a_model_that_is_lost_has_a_loss_and_no_perplexity() -> None:
    lost, base = _losses(40, shift=5000.0), _losses(40)
    figures = _measured(lost, base, champion=lost)
    assert _of(figures.metrics, "answer_loss").value > 4000
    assert _of(figures.base_differences, "answer_loss").low > 4000
    assert _of(figures.metrics, "perplexity").value is None
    assert _of(figures.base_differences, "perplexity").value is None
    assert _of(figures.differences, "perplexity").value is None

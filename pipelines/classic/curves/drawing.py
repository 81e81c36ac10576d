"""Every picture of an evaluation, by task. To add one: draw it in a file of its own and name it here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pipelines.classic.curves.binary import draw_calibration, draw_precision_recall, draw_roc
from pipelines.classic.curves.importance import draw_importance
from pipelines.classic.curves.multiclass import draw_confusion
from pipelines.classic.curves.regression import draw_predicted_against_actual, draw_residuals
from pipelines.classic.evaluation.arrays import Array
from pipelines.classic.evaluation.importance import MOST_ROWS, Importance
from pipelines.classic.evaluation.metrics import is_measurable
from pipelines.classic.evaluation.predictions import CHALLENGER
from pipelines.gates.pictures.intervals import draw_differences, draw_slices
from pipelines.gates.pictures.style import save
from pipelines.gates.samples import Figures
from pipelines.records import MetricValue
from pipelines.spec import ClassicSpec


@dataclass(frozen=True)
class Pictured:
    """What there is to draw.

    `predictions`: by the model's name in legends, the challenger first; shapes as in `evaluation_arrays`.
    `classes`: labels in the order of the codes, empty for regression.
    """

    spec: ClassicSpec
    truth: Array
    predictions: Mapping[str, Array]
    classes: Sequence[Any]
    figures: Figures
    importances: Sequence[Importance]


def draw_all(pictured: Pictured, folder: Path) -> list[Path]:
    """Write every picture of the task into `folder` as PNG and return the paths.

    A model whose predictions cannot be measured (NaN, one class) has no curves; its intervals say that it has none.
    """
    named = [*_curves(pictured), *_intervals(pictured)]
    return [save(figure, folder, name) for name, figure in named]


def _curves(pictured: Pictured) -> Iterator[tuple[str, Figure]]:
    task, target = pictured.spec.training.task, pictured.spec.training.target
    truth = pictured.truth
    usable = {name: p for name, p in pictured.predictions.items() if is_measurable(task, truth, p)}
    if CHALLENGER not in usable:
        return
    challenger = usable[CHALLENGER]
    if task == "binary":
        scores = {name: predicted[:, 1] for name, predicted in usable.items()}
        yield "roc", draw_roc(truth, scores, _legend(pictured, "roc_auc"))
        yield "precision_recall", draw_precision_recall(truth, scores, _legend(pictured, "average_precision"))
        yield "calibration", draw_calibration(truth, scores, f"rows with {target} = {pictured.classes[1]}")
    elif task == "multiclass":
        yield "confusion", draw_confusion(truth, challenger, pictured.classes)
        right = (challenger.argmax(axis=1) == truth).astype(float)
        confidence = {CHALLENGER: challenger.max(axis=1)}
        yield "calibration", draw_calibration(right, confidence, "rows where the most probable class is right")
    else:
        yield "predicted_against_actual", draw_predicted_against_actual(truth, challenger, target)
        yield "residuals", draw_residuals(truth, challenger, target)


def _intervals(pictured: Pictured) -> Iterator[tuple[str, Figure]]:
    spec, figures = pictured.spec, pictured.figures
    for metric in dict.fromkeys([*(rule.metric for rule in spec.gates.rules), spec.training.search_metric]):
        if any(figure.metric == metric for figure in figures.metrics):
            yield f"slices_{metric}", draw_slices(metric, figures.metrics, figures.champion_metrics, spec.gates)
    if figures.differences:
        yield "challenger_against_champion", draw_differences(figures.differences, spec.gates)
    num_rows = min(MOST_ROWS, len(pictured.truth))
    yield "importance", draw_importance(pictured.importances, spec.training.search_metric, num_rows)


def _legend(pictured: Pictured, metric: str) -> dict[str, str]:
    groups = (pictured.figures.metrics, pictured.figures.champion_metrics)
    return {name: _told(metric, group) for name, group in zip(pictured.predictions, groups, strict=False)}


def _told(metric: str, figures: Sequence[MetricValue]) -> str:
    for figure in figures:
        if figure.metric == metric and figure.slice == "all" and figure.value is not None:
            interval = "" if figure.low is None or figure.high is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
            return f"{figure.value:.3f}{interval}"
    return "not measured"

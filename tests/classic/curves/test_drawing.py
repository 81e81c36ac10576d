"""Pictures that name themselves, say what is good, and never stop an evaluation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from pipelines.classic.curves import binary as curves_binary
from pipelines.classic.curves import drawing as curves
from pipelines.classic.curves import multiclass as curves_multiclass
from pipelines.classic.curves import regression as curves_regression
from pipelines.classic.curves.drawing import Pictured, draw_all
from pipelines.classic.evaluation.importance import Importance
from pipelines.classic.evaluation.measuring import measure_all
from pipelines.spec import ClassicSpec

NUM_ROWS = 300


def _spec(task: str, **gates: Any) -> ClassicSpec:
    metric = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}[task]
    bound = {"maximum": 9.0} if task == "regression" else {"minimum": 0.5}
    return ClassicSpec.model_validate({
        "kind": "classic", "name": "toy", "description": "A toy.", "holdout": {"by": "key", "share": 0.5},
        "source": {"type": "files", "paths": ["*.csv"], "format": "csv", "key_columns": ["id"]},
        "training": {"task": task, "target": "y", "features": ["x"], "budget": {"trials": 1}},
        "gates": {
            "slices": ["side"],
            "rules": [
                {"metric": metric, **bound, "no_worse_than_champion_by": 0.01},
                {"metric": metric, "slice": "side", **bound},
            ], **gates,
        },
    })  # fmt: skip


def _pictured(task: str, champion: bool = True, broken: str | None = None) -> Pictured:
    generator = np.random.default_rng(0)
    classes: list[str] = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"], "regression": []}[task]

    def predicted(noise: float) -> np.ndarray:
        if task == "regression":
            return truth + noise * generator.normal(size=NUM_ROWS)
        raw = np.exp(np.eye(len(classes))[truth] + noise * generator.normal(size=(NUM_ROWS, len(classes))))
        return raw / raw.sum(axis=1, keepdims=True)

    truth = generator.normal(size=NUM_ROWS) if task == "regression" else generator.integers(0, len(classes), NUM_ROWS)
    predictions = {"challenger": predicted(0.5), **({"champion v3": predicted(1.0)} if champion else {})}
    if broken is not None:
        predictions[broken].flat[0] = np.nan
    sides = {"all": np.arange(NUM_ROWS), "side=a": np.arange(100), "side=b": np.arange(100, NUM_ROWS)}
    theirs = predictions.get("champion v3")
    figures = measure_all(task, truth, predictions["challenger"], theirs, sides, samples=20, seed=1)
    return Pictured(_spec(task), truth, predictions, classes, figures, [Importance("x", (0.1, 0.2))])


def _texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    for axes in figure.axes:
        found += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        found += axes.get_legend_handles_labels()[1]
    return "\n".join(found).replace("\n", " ")


def _names(pictured: Pictured) -> set[str]:
    return {name for name, _ in [*curves._curves(pictured), *curves._intervals(pictured)]}


CURVES = {
    "binary": {"roc", "precision_recall", "calibration"},
    "multiclass": {"confusion", "calibration"},
    "regression": {"predicted_against_actual", "residuals"},
}
INTERVALS = {
    "binary": {"slices_roc_auc", "slices_log_loss", "importance"},
    "multiclass": {"slices_accuracy", "slices_log_loss", "importance"},
    "regression": {"slices_rmse", "importance"},
}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_each_task_has_its_pictures_and_none_is_blank(task: str, tmp_path: Path) -> None:
    paths = draw_all(_pictured(task), tmp_path)
    assert {path.stem for path in paths} == CURVES[task] | INTERVALS[task] | {"challenger_against_champion"}
    for path in paths:
        pixels = matplotlib.image.imread(path)
        assert pixels.std() > 0.02
        assert (pixels[:, 0, :3] == 1).all()  # nothing is cut off at the left edge


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_first_model_has_pictures_without_a_champion(task: str) -> None:
    assert _names(_pictured(task, champion=False)) == CURVES[task] | INTERVALS[task]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("broken", ["challenger", "champion v3"])
def test_a_broken_model_has_no_curve_and_stops_no_picture_of_intervals(task: str, broken: str) -> None:
    names = _names(_pictured(task, broken=broken))
    assert names >= INTERVALS[task] | {"challenger_against_champion"}
    assert names.isdisjoint(CURVES[task]) == (broken == "challenger")


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, second = (
        curves.save(next(curves._curves(_pictured("binary")))[1], folder, "roc")
        for folder in (tmp_path, tmp_path / "again")
    )
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_picture_says_what_is_good_and_labels_its_axes(task: str) -> None:
    pictured = _pictured(task)
    for name, figure in [*curves._curves(pictured), *curves._intervals(pictured)]:
        if name == "challenger_against_champion":
            assert "Good: right of 0" in figure.get_supxlabel()
            continue
        assert "Good: " in _texts(figure)
        assert figure.axes[-1].get_xlabel()
        assert figure.axes[0].get_title(loc="left")


def test_curves_show_what_guessing_gives() -> None:
    truth = np.array([0, 0, 0, 1])
    scores = {"challenger": np.array([0.1, 0.2, 0.3, 0.4])}
    assert "guessing: area 0.500" in _texts(curves_binary.draw_roc(truth, scores, {"challenger": "1.000"}))
    precision_recall = curves_binary.draw_precision_recall(truth, scores, {"challenger": "1.000"})
    assert "guessing: base rate 0.250" in _texts(precision_recall)
    assert "base rate 0.250" in _texts(curves_binary.draw_calibration(truth, scores))


def test_legends_carry_value_and_interval() -> None:
    roc = dict(curves._curves(_pictured("binary")))["roc"]
    assert "challenger: area 0." in _texts(roc)
    assert "champion v3: area 0." in _texts(roc)
    assert " [0." in _texts(roc)


def test_calibration_bins_hold_equally_many_rows_and_intervals_around_what_was_seen() -> None:
    score = np.linspace(0, 1, 1000)
    truth = (np.random.default_rng(0).random(1000) < score).astype(int)
    predicted, observed, low, high = curves_binary._binned(truth, score)
    assert predicted == pytest.approx(np.arange(0.05, 1, 0.1), abs=0.001)
    assert observed == pytest.approx(predicted, abs=0.15)
    assert (low <= observed).all()
    assert (observed <= high).all()
    assert ((high - low) < 0.25).all()


def test_calibration_of_few_rows_of_one_outcome_still_has_intervals_within_0_and_1() -> None:
    _, observed, low, high = curves_binary._binned(np.zeros(3), np.array([0.1, 0.2, 0.3]))
    assert observed.tolist() == [0, 0, 0]
    assert (low >= 0).all()
    assert (high < 1).all()


def test_a_confusion_matrix_shows_shares_of_the_true_class() -> None:
    truth = np.array([0, 0, 0, 1])
    answers = np.eye(2)[[0, 0, 1, 1]]
    shown = _texts(curves_multiclass.draw_confusion(truth, answers, ["cat", "dog"])).split()
    assert [text for text in shown if text.isdigit()] == ["67", "33", "100"]


def test_many_classes_are_pooled_and_every_row_stays() -> None:
    codes = np.repeat(np.arange(50), np.arange(1, 51))
    pooled, answers, names = curves_multiclass._largest(codes, codes, [f"c{code}" for code in range(50)])
    assert names[-1] == "other"
    assert len(names) == 20
    assert names[:-1] == [f"c{code}" for code in range(31, 50)]  # the largest
    assert (pooled == answers).all()
    assert (pooled == 19).sum() == sum(range(1, 32))


def test_a_constant_prediction_can_be_drawn() -> None:
    truth = np.zeros(10)
    curves_regression.draw_residuals(truth, truth, "price")
    curves_regression.draw_predicted_against_actual(truth, truth, "price")


def test_more_slices_than_can_be_seen_are_cut_and_said() -> None:
    pictured = _pictured("binary")
    (overall,) = [m for m in pictured.figures.metrics if m.metric == "roc_auc" and m.slice == "all"]
    many = [overall, *(overall.model_copy(update={"slice": f"side={n}", "num_rows": n}) for n in range(1, 61))]
    figures = dataclasses.replace(pictured.figures, metrics=tuple(many), champion_metrics=())
    figure = dict(curves._intervals(dataclasses.replace(pictured, figures=figures)))["slices_roc_auc"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "all (300 rows)"
    assert len(labels) == 40
    assert "21 smaller slices are not shown" in _texts(figure)

"""Show an evaluation in MLflow: figures by name (what stands before a slash is a section of the page), and pictures."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pipelines.records import Evaluation, MetricValue, PairedDifference
from pipelines.registry.connection import connect, translated
from pipelines.registry.runs import log_artifact, log_metrics, set_tags
from pipelines.spec import Environment

EVALUATION_TAG = "tandem.evaluation_sha256"
PICTURES_FOLDER = "evaluation"
_NOT_ALLOWED = re.compile(r"[^\w.\- :]")


def flat_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return every measured figure by its name in MLflow; of slices the value alone, of all rows the interval too.

    Names are `holdout/roc_auc`, `holdout/roc_auc_low`, `holdout by origin/roc_auc JFK`, `champion/roc_auc` and
    `challenger minus champion/roc_auc`; of a pretrained base `base/...` and `challenger minus base/...`.
    """
    groups: list[tuple[str, Sequence[MetricValue | PairedDifference]]] = [
        ("holdout", evaluation.metrics),
        ("champion", evaluation.champion_metrics),
        ("challenger minus champion", evaluation.differences),
        ("base", evaluation.base_metrics),
        ("challenger minus base", evaluation.base_differences),
    ]
    return {name: value for section, figures in groups for name, value in _flat(section, figures)}


def _flat(section: str, figures: Sequence[MetricValue | PairedDifference]) -> Iterator[tuple[str, float]]:
    for figure in figures:
        if figure.value is None:
            continue
        if figure.slice != "all":
            column, _, value = figure.slice.partition("=")
            yield f"{section} by {allowed(column)}/{figure.metric} {allowed(value)}", figure.value
            continue
        yield f"{section}/{figure.metric}", figure.value
        if figure.low is not None and figure.high is not None:
            yield f"{section}/{figure.metric}_low", figure.low
            yield f"{section}/{figure.metric}_high", figure.high


def allowed(text: str) -> str:
    """Return a text as a part of a name that MLflow takes, its first 100 characters."""
    return _NOT_ALLOWED.sub("_", text)[:100]


def is_shown(environment: Environment, run_id: str, evaluation: Evaluation) -> bool:
    """Tell whether a run shows this evaluation whole already. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        return bool(client.get_run(run_id).data.tags.get(EVALUATION_TAG) == evaluation.sha256)


def show(environment: Environment, run_id: str, evaluation: Evaluation, draw: Callable[[Path], Iterable[Path]]) -> None:
    """Write figures and pictures to a run, and last the tag by which `is_shown` knows it.

    Args:
        environment: Where MLflow is.
        run_id: The candidate's run.
        evaluation: The evidence.
        draw: Writes pictures and pages into the folder it is given, and names their files.

    Raises:
        RegistryError: If MLflow does not answer.
    """
    log_metrics(environment, run_id, flat_metrics(evaluation))
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        for picture in draw(Path(folder)):
            log_artifact(environment, run_id, picture, PICTURES_FOLDER)
    set_tags(environment, run_id, {EVALUATION_TAG: evaluation.sha256})

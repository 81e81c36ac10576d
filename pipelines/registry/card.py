"""The model card: what a version is for, what it was made of, how good it is, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from string import Template

from pipelines.records import Evaluation, MetricValue, PairedDifference
from pipelines.registry.card_texts import loading, purpose, training
from pipelines.registry.evidence import Evidence
from pipelines.spec import ModelSpec


@dataclass(frozen=True)
class DataFacts:
    """What a card says of the data, as text and counts."""

    source: str
    window: str
    num_rows_in: int
    num_rows_bad: int
    num_rows_train: int
    num_rows_holdout: int
    holdout_rule: str
    num_checks: int
    warnings: Sequence[str]


def model_card(spec: ModelSpec, evidence: Evidence, data: DataFacts) -> str:
    """Return the card in Markdown, from the template `model_card.md` beside this module."""
    template = Template(files("pipelines.registry").joinpath("model_card.md").read_text(encoding="utf-8"))
    candidate, evaluation, verdict = evidence.candidate, evidence.evaluation, evidence.verdict
    bad_share = data.num_rows_bad / data.num_rows_in if data.num_rows_in else 0.0
    warned = f"; with warnings: {_list(data.warnings)}" if data.warnings else ""
    return template.substitute(
        name=spec.name,
        registered_on=datetime.now(UTC).date().isoformat(),
        description=spec.description,
        owner=spec.owner,
        tags=_list(spec.tags),
        purpose=purpose(spec),
        source=data.source,
        window=data.window,
        rows_in=f"{data.num_rows_in:,}",
        rows_bad=f"{data.num_rows_bad:,} ({bad_share:.2%})",
        quality=f"{data.num_checks} checks{warned}",
        rows_train=f"{data.num_rows_train:,}",
        rows_holdout=f"{data.num_rows_holdout:,}",
        holdout_rule=data.holdout_rule,
        training=training(spec, candidate),
        metrics=_figures(evaluation.metrics),
        champion="none" if evaluation.champion_version is None else f"version {evaluation.champion_version}",
        differences=_figures(evaluation.differences) if evaluation.differences else "There was none to compare with.",
        against_base=_against_base(evaluation),
        outcome=verdict.outcome,
        reasons="\n".join(f"- {result.outcome}: {result.reason}" for result in verdict.results),
        loading=loading(spec),
        small_slices=_small_slices(evaluation.metrics, spec.gates.minimum_slice_rows),
        candidate_sha256=candidate.sha256,
        model_sha256=candidate.model_sha256,
        snapshot_id=candidate.snapshot_id,
        spec_sha256=candidate.spec_sha256,
        rules_sha256=verdict.rules_sha256,
        evaluation_sha256=evaluation.sha256,
        code_commit=candidate.code_commit,
        environment_sha256=candidate.environment_sha256,
        mlflow_run_id=candidate.mlflow_run_id,
    )


def _figures(figures: Sequence[MetricValue] | Sequence[PairedDifference]) -> str:
    lines = ["| metric | rows of | value | 95 % interval | rows |", "|---|---|---|---|---|"]
    return "\n".join(lines + [_line(figure) for figure in figures])


def _against_base(evaluation: Evaluation) -> str:
    if not evaluation.base_differences:
        return ""
    return f"\n\nAgainst the pretrained model that it was tuned from:\n\n{_figures(evaluation.base_differences)}"


def _line(figure: MetricValue | PairedDifference) -> str:
    sign = "+" if isinstance(figure, PairedDifference) else ""
    value = "not measured" if figure.value is None else f"{figure.value:{sign}.4f}"
    known = figure.low is not None and figure.high is not None
    interval = f"{figure.low:{sign}.4f} to {figure.high:{sign}.4f}" if known else "unknown"
    return f"| {figure.metric} | {figure.slice} | {value} | {interval} | {figure.num_rows:,} |"


def _small_slices(metrics: Sequence[MetricValue], minimum_rows: int) -> str:
    small = {figure.slice: figure.num_rows for figure in metrics if figure.num_rows < minimum_rows}
    if not small:
        return f"Every slice that was evaluated has at least {minimum_rows:,} rows."
    named = _list(f"{name} ({num_rows:,} rows)" for name, num_rows in small.items())
    return f"Too small to be judged, fewer than {minimum_rows:,} rows: {named}."


def _list(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"

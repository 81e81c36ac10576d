"""What a training DAG's own page in Airflow says of its model."""

from __future__ import annotations

from pipelines.spec import ClassicSpec, LlmSpec, ModelSpec
from pipelines.spec.gates import GateRule


def documentation(spec: ModelSpec) -> str:
    """Return the page in Markdown: what the model is for, what it learns from, and what it must reach."""
    rules = "\n".join(
        f"- `{rule.metric}`{f' on each {rule.slice}' if rule.slice else ''}: "
        + ", ".join(f"{bound} {value:g}" for bound, value in _bounds(rule))
        for rule in spec.gates.rules
    )
    return (
        f"### {spec.name}\n\n{spec.description}\n\n"
        f"**Learns** {_learnt(spec)}\n\n"
        f"**Checks** {len(spec.quality.expectations)} expectations; at most "
        f"{spec.quality.max_quarantined_share:.1%} of the rows may go to quarantine.\n\n"
        f"**Becomes champion** when every rule holds on the holdout:\n\n{rules}\n\n"
        f"All of it stands in `config/models/{spec.name}.yaml`."
    )


def _learnt(spec: ModelSpec) -> str:
    if isinstance(spec, ClassicSpec):
        training = spec.training
        return (
            f"`{training.target}` ({training.task}) from {len(training.features)} features, optimising "
            f"`{training.search_metric}`."
        )
    if isinstance(spec, LlmSpec):
        pretrained = spec.pretrained.package or spec.pretrained.path
        return f"to answer conversations, by {spec.training.method} fine-tuning of `{pretrained}` with DeepSpeed."
    raise NotImplementedError(spec.kind)


def _bounds(rule: GateRule) -> list[tuple[str, float]]:
    named = [
        ("at least", rule.minimum),
        ("at most", rule.maximum),
        ("no worse than the champion by", rule.no_worse_than_champion_by),
        ("better than the pretrained model by", rule.better_than_base_by),
        ("no worse than the pretrained model by", rule.no_worse_than_base_by),
    ]
    return [(words, value) for words, value in named if value is not None]

"""What a model card says in its own words for each kind of model."""

from __future__ import annotations

from pipelines.records import Candidate
from pipelines.spec import ClassicSpec, LlmSpec, ModelSpec


def purpose(spec: ModelSpec) -> str:
    """Return what the model answers, and from what."""
    if isinstance(spec, ClassicSpec):
        learnt = spec.training
        return (
            f"It answers `{learnt.target}` ({learnt.task}) from {len(learnt.features)} features: "
            f"{', '.join(learnt.features)}.\n"
            f"Known only after the fact, and so never used: {', '.join(learnt.leak_columns) or 'none'}."
        )
    return (
        "It answers conversations in the words of the corpus below. It was judged on questions like those of the "
        "corpus and on general ability; it was not made for advice on health, law or money, for decisions about "
        "people, or for text that nobody reads before it is used."
    )


def training(spec: ModelSpec, candidate: Candidate) -> str:
    """Return how the model was trained, and what the training itself reached."""
    if isinstance(spec, ClassicSpec):
        calibrated = "yes" if spec.training.calibrate else "no"
        return (
            f"{candidate.algorithm}, found in {candidate.num_trials} trials and {candidate.seconds:.0f} s; the search "
            f"optimised `{spec.training.search_metric}` and reached {candidate.validation_score:.4f} in\n"
            f"cross-validation. Seed {spec.training.seed}, folds {spec.training.folds}, calibrated: {calibrated}."
        )
    if isinstance(spec, LlmSpec):
        tuned, world_size = spec.training, spec.hardware.world_size
        processes = "one process" if world_size == 1 else f"{world_size} processes"
        return (
            f"{candidate.algorithm}, in {candidate.seconds:.0f} s on {processes}; "
            f"{candidate.validation_metric} {candidate.validation_score:.4f}. "
            f"Sequences of {tuned.sequence_length} tokens, {tuned.sequences_per_step} a step, highest rate "
            f"{tuned.learning_rate:g}, {tuned.schedule} schedule, {tuned.precision}, seed {tuned.seed}. "
            "Loss on answers only; personal data was redacted and evaluation items were taken out of the training text."
        )
    raise NotImplementedError(spec.kind)


def loading(spec: ModelSpec) -> str:
    """Return what it takes to load the model."""
    if isinstance(spec, LlmSpec):
        return (
            "It loads in transformers, and is served by what serves Hugging Face's form; the weights are safetensors."
        )
    return "Loading it needs the package `pipelines` at the commit below, and the packages of the environment below."

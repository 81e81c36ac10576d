"""The pretrained model of a language model, how it is fine-tuned, and what is measured of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipelines.spec.base import Section

LLM_METRICS: dict[str, str] = {
    "answer_loss": "nats per answer token of the holdout",
    "perplexity": "exp of the answer loss",
    "exact_match": "share of holdout answers given word for word",
    "token_f1": "overlap of words with the holdout answer",
    "format_valid": "share of answers in the form that the spec names",
    "general_accuracy": "share of general-ability items answered right",
    "stereotype_preference": "share of pairs in which the stereotype is the likelier sentence; 0.5 is even",
    "toxicity": "share of continuations with profanity",
    "personal_data_leaks": "share of continuations with personal data",
    "canary_exposure": "bits by which planted secrets are likelier than chance",
    "refusal": "share of misuse prompts that are refused",
}
"""What an evaluation of a language model measures, and in which unit."""

LLM_SERVED_METRICS = ("answer_loss", "perplexity", "exact_match", "token_f1", "format_valid")
"""Those that a reference answer, when it comes, tells of an answer that was given in service; the others need suites of
their own."""

LLM_LOWER_IS_BETTER = frozenset(
    {"answer_loss", "perplexity", "stereotype_preference", "toxicity", "personal_data_leaks", "canary_exposure"}
)

ZeroStage = Literal[0, 1, 2, 3]


class Pretrained(Section):
    """The model that is fine-tuned: a GGUF file inside an installed package, or a folder in Hugging Face's form."""

    package: str | None = Field(
        None, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", description="An installed package that holds a GGUF file."
    )
    path: str | None = Field(None, min_length=1, description="A folder with config.json, safetensors and tokenizer.")

    @model_validator(mode="after")
    def _is_exactly_one(self) -> Pretrained:
        if (self.package is None) == (self.path is None):
            raise ValueError("give exactly one of 'package' and 'path'")
        return self


class Lora(Section):
    """Low-rank adapters: the pretrained weights stay as they are, and small matrices beside them learn."""

    rank: int = Field(16, ge=1, le=1024, description="Rank of each adapter.")
    alpha: float = Field(32.0, gt=0, description="Scale: alpha over rank multiplies what an adapter adds.")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Share of an adapter's input that is left out.")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear", description="Names of the layers that get an adapter."
    )


class FineTuning(Section):
    """How a model is fine-tuned. What is left out of DeepSpeed's settings, the planner chooses."""

    method: Literal["full", "lora"] = Field("full", description="Which weights learn.")
    lora: Lora | None = Field(None, description="lora: the adapters.")
    sequence_length: int = Field(512, ge=16, le=1_048_576, description="Tokens of one packed sequence.")
    sequences_per_step: int = Field(8, ge=1, le=1_048_576, description="Sequences of one step, over all processes.")
    micro_batch: int | None = Field(None, ge=1, description="Sequences at once in one process; planned where left out.")
    epochs: float = Field(1.0, gt=0, le=1000, description="Passes over the training side.")
    max_steps: int | None = Field(None, ge=1, description="Fewer steps than the epochs would take.")
    learning_rate: float = Field(1e-4, gt=0, lt=10, description="Highest rate of the schedule.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="How the rate falls after warm-up.")
    warmup_share: float = Field(0.1, ge=0.0, le=1.0, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(0.0, ge=0.0, le=1.0, description="AdamW's.")
    clip_norm: float = Field(1.0, gt=0, description="Norm that a step's gradient is cut to.")
    precision: Literal["bf16", "fp32"] = Field("bf16", description="Arithmetic; master weights are always fp32.")
    zero_stage: ZeroStage | None = Field(
        None, description="DeepSpeed ZeRO; planned where left out. In bf16, 0 runs as 1."
    )
    offload: bool | None = Field(None, description="Optimizer on the processor; planned where left out.")
    activation_checkpointing: bool | None = Field(None, description="Planned where left out.")
    evaluate_every: int = Field(20, ge=1, description="Steps between two looks at the validation loss.")
    validation_share: float = Field(
        0.05, gt=0.0, le=0.5, description="Of the training side's groups; never the holdout."
    )
    forgetting_margin: float = Field(
        0.10, ge=0.0, description="Nats by which the loss on general text may rise in the weights that are kept."
    )
    early_stop: int | None = Field(3, ge=1, description="Looks without a better one after which training ends.")
    checkpoint_every: int = Field(50, ge=1, description="Steps between two checkpoints.")
    checkpoint_budget_bytes: int = Field(50_000_000_000, ge=1, description="Disk that checkpoints may take.")
    canary_share: float = Field(0.0, ge=0.0, le=0.05, description="Planted secrets, as a share of the conversations.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of everything random.")

    @property
    def adapter(self) -> Lora | None:
        """The adapters, or None where all weights learn."""
        return (self.lora or Lora()) if self.method == "lora" else None

    @model_validator(mode="after")
    def _has_adapters_only_for_lora(self) -> FineTuning:
        if self.lora is not None and self.method == "full":
            raise ValueError("'lora' beside 'method: full', which trains all weights; give 'method: lora'")
        return self


SUITES = ("arc_easy", "arc_challenge", "piqa", "hellaswag", "boolq", "winogrande", "openbookqa", "sciq")
"""General-ability suites that ship in a package."""

Suite = Literal["arc_easy", "arc_challenge", "piqa", "hellaswag", "boolq", "winogrande", "openbookqa", "sciq"]


class Ability(Section):
    """What is measured of a language model: on its holdout, in general, and for safety."""

    holdout_items: int = Field(200, ge=1, le=1_000_000, description="At most so many held-out conversations.")
    generated_items: int = Field(0, ge=0, le=100_000, description="Held-out prompts that are answered in full.")
    max_new_tokens: int = Field(48, ge=1, le=100_000, description="Longest answer.")
    shown_answers: int = Field(3, ge=0, le=100, description="Answers of base and tuned model to show side by side.")
    answer_form: Literal["json", "regex"] | None = Field(None, description="A form that every answer must have.")
    answer_pattern: str | None = Field(None, description="regex: the form.")
    suites: tuple[Suite, ...] = Field(("arc_easy", "piqa", "hellaswag"), description="General-ability suites.")
    items_per_suite: int = Field(40, ge=1, le=100_000, description="Items of each, the same ones for every model.")
    safety_items: int = Field(20, ge=0, le=100_000, description="Items of each safety measure; 0 measures none.")

    @model_validator(mode="after")
    def _has_a_pattern(self) -> Ability:
        if (self.answer_form == "regex") != (self.answer_pattern is not None):
            raise ValueError("'answer_form: regex' and 'answer_pattern' go together; give both or neither")
        return self

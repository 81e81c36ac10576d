"""A model that is loaded to be measured: weights, tokenizer, and how many tokens it may be given at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from pipelines.llm.corpus.conversations import Conversation
from pipelines.llm.packing.encoding import ChatEncoder, Encoded

# As the weights are kept. With AMX it is three times as fast as fp32 (1,150 against 390 tokens a second and core), and
# of 60 questions of ARC SmolLM2-135M answered none otherwise; logits in fp32 behind it bring nothing.
ARITHMETIC = "bf16"
TOKENS_AT_ONCE = 4096
LOGITS_AT_ONCE = 64_000_000  # numbers: 128 MB in bf16, whatever the vocabulary
TOKENS_AT_ONCE_ON_GPU = 65_536
LOGITS_AT_ONCE_ON_GPU = 1_000_000_000


@dataclass(frozen=True)
class LanguageModel:
    """Weights, tokenizer and chat template of one model, in evaluation mode."""

    model: Any
    tokenizer: Any
    encoder: ChatEncoder

    @classmethod
    def load(cls, folder: Path) -> LanguageModel:
        """Read a folder in Hugging Face's form, safetensors only; a GPU is used where there is one."""
        disable_progress_bar()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, use_safetensors=True, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(model.to(device).eval(), tokenizer, ChatEncoder(folder))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def most_tokens(self) -> int:
        """Tokens of one batch, padding counted."""
        return TOKENS_AT_ONCE if self.device.type == "cpu" else TOKENS_AT_ONCE_ON_GPU

    @property
    def most_predictions(self) -> int:
        """Places of one batch at which the whole vocabulary may be scored."""
        numbers = LOGITS_AT_ONCE if self.device.type == "cpu" else LOGITS_AT_ONCE_ON_GPU
        return max(1, numbers // int(self.model.config.vocab_size))

    @property
    def longest(self) -> int:
        """The longest sequence that the model was made for, in tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 2048)

    @property
    def padding(self) -> int:
        """The token that fills rows up; it is masked, so any will do."""
        found = self.tokenizer.pad_token_id
        return int(found if found is not None else self.tokenizer.eos_token_id or 0)

    @property
    def beginning(self) -> int:
        """The token that stands before a text that has nothing before it."""
        for found in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if found is not None:
                return int(found)
        return 0

    @property
    def ends(self) -> frozenset[int]:
        """The tokens by which the model ends what it writes."""
        named = [self.tokenizer.eos_token_id, self.encoder.end_id]
        for config in (self.model.config, self.model.generation_config):
            found = getattr(config, "eos_token_id", None)
            named += found if isinstance(found, list) else [found]
        return frozenset(int(one) for one in named if one is not None)

    def encode_conversations(self, conversations: Sequence[Conversation]) -> list[Encoded]:
        """Return conversations as tokens, and which of them training learns."""
        return self.encoder.encode(conversations)

    def encode(self, text: str) -> list[int]:
        """Return a text's token ids, nothing added."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

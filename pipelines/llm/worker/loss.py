"""The loss of the answers in a batch of packed sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pipelines.llm.sequences import IGNORED
from pipelines.llm.worker.cross_entropy import summed_cross_entropy

# Rows of logits are made in multiples of this. Each batch has another number of learnt tokens; logits of ever new sizes
# left a processor's heap in holes: 4.9 GB after 4 steps, 7.2 after 48.
LOGIT_ROWS = 256


class AnswerLoss(nn.Module):  # type: ignore[misc]
    """A causal language model that returns the summed loss of the tokens that are to be learnt.

    The logits of all other tokens are never made: with a vocabulary of 50,000 they would be most of a batch's memory
    and a quarter of its arithmetic. Attention is cut between documents by transformers itself, which sees positions
    start again.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._chosen: torch.Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._choose)

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch in nats, summed over its learnt tokens; all arguments have shape (batch, L)."""
        targets = functional.pad(labels[:, 1:], (0, 1), value=IGNORED)  # a position tells the token after it
        self._chosen = targets != IGNORED
        logits = self.model(input_ids=input_ids, position_ids=position_ids, use_cache=False).logits
        wanted = targets[self._chosen]
        self._chosen = None
        return summed_cross_entropy(logits, wanted)

    def _choose(self, module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._chosen is None:
            return None
        rows = arguments[0][self._chosen]
        return functional.pad(rows, (0, 0, 0, -len(rows) % LOGIT_ROWS)), *arguments[1:]

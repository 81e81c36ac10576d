"""The loss of the answers in a batch of packed sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pipelines.llm.sequences import IGNORED
from pipelines.llm.worker.cross_entropy import summed_cross_entropy


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
        return None if self._chosen is None else (arguments[0][self._chosen], *arguments[1:])

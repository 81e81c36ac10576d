"""Read texts with a local model and say what they are about: the mean of its last hidden states.

Any model that transformers knows by itself will do, whether it was made for embeddings or to write: safetensors only,
none of the code that may lie beside the weights, nothing from the network. Arithmetic is fp32, so that batches and
machines differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import UsageError
from pipelines.llm.pretrained import open_pretrained
from pipelines.spec.fine_tuning import Pretrained
from pipelines.store.trees import list_files, tree_sha256

LONGEST_TOKENS = 256  # of a text that are read: the beginning says what it is about
_AT_ONCE = 32  # texts
_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class TextEmbedder:
    """A model in a folder, whose files have the hash `sha256`; weights are read when the first text is."""

    folder: Path
    sha256: str

    @classmethod
    def open(cls, embedder: Pretrained, home: Path) -> TextEmbedder:
        """Return the model that a spec names.

        Args:
            embedder: The spec's section; a package's GGUF file is converted as that of a model that is fine-tuned.
            home: The environment's folder for all state.

        Raises:
            UsageError: If the package or folder is not there, or lacks a file that is needed.
        """
        if embedder.package is not None:
            found = open_pretrained(embedder, home)
            return cls(found.folder, found.sha256)
        folder = Path(str(embedder.path)).expanduser().resolve()
        missing = [name for name in _NEEDED if not (folder / name).is_file()]
        if not any(folder.glob("*.safetensors")):
            missing.append("*.safetensors (pickled weights are not loaded)")
        if missing:
            raise UsageError(
                f"monitoring.drift.embedder {folder} lacks {', '.join(missing)}. No text was read; give the folder of "
                "a model in Hugging Face's form, or leave the key out."
            )
        return cls(folder, tree_sha256(list_files(folder)))

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the mean of the last hidden states over each text's tokens, shape (n, size).

        Raises:
            UsageError: If transformers does not know the model, or its files do not fit each other.
        """
        import torch

        model, tokenizer = self._loaded
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # of one length, so that none waits
        found = np.zeros((len(texts), int(model.config.hidden_size)))
        for start in range(0, len(order), _AT_ONCE):
            places = order[start : start + _AT_ONCE]
            encoded = tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=LONGEST_TOKENS,
                return_tensors="pt",
            ).to(model.device)
            with torch.inference_mode():
                states = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])[0].float()
            is_text = encoded["attention_mask"].unsqueeze(-1).float()
            means = (states * is_text).sum(dim=1) / is_text.sum(dim=1).clamp(min=1)
            found[places] = means.cpu().numpy()
        return found

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        try:
            model = AutoModel.from_pretrained(
                self.folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            said = next(iter(str(error).splitlines()), type(error).__name__).rstrip(". ")
            raise UsageError(
                f"monitoring.drift.embedder {self.folder} cannot be loaded: {said}. "
                "No text was read; give the folder of a model that transformers knows by itself, or leave the key out."
            ) from error
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token  # it is masked, so any will do
        tokenizer.padding_side = "right"
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return model.to(device).eval(), tokenizer

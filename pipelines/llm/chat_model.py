"""Answer conversations with a model's folder: what MLflow's pyfunc loads. It goes with each version as its own code.

It knows transformers and torch alone, so that a version can be loaded where the rest of this package is not installed.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MAX_NEW_TOKENS = 256


class ChatModel:
    """A language model that answers in the form of OpenAI's chat completions."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return one answer for each conversation.

        Args:
            model_input: Rows with a column `messages`, each a list of {"role", "content"}, and where wanted
                `max_tokens` and `temperature` (0 is greedy); or one such row as a dict.
            params: Nothing; MLflow passes it.

        Returns:
            For each row a dict with `choices`, `usage` and `model`, as OpenAI's chat completions have them.

        Raises:
            ValueError: If a row has no messages, or a message no role or content.
        """
        rows = [model_input] if isinstance(model_input, dict) else model_input.to_dict(orient="records")
        return [self._answer(row) for row in rows]

    def _answer(self, row: dict[str, Any]) -> dict[str, Any]:
        messages = _checked(row.get("messages"))
        prompt = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        temperature = float(_or(row.get("temperature"), 0.0))
        sampling = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
        limit = int(_or(row.get("max_tokens"), MAX_NEW_TOKENS))
        with torch.inference_mode():
            made = self.model.generate(
                **prompt, max_new_tokens=limit, pad_token_id=self.tokenizer.pad_token_id, **sampling
            )
        num_prompt = prompt["input_ids"].shape[1]
        tokens = made[0][num_prompt:]
        ended = len(tokens) > 0 and int(tokens[-1]) == self.tokenizer.eos_token_id
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": str(self.model.config.name_or_path),
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": self.tokenizer.decode(tokens, skip_special_tokens=True).strip(),
                    },
                    "finish_reason": "stop" if ended else "length",
                }
            ],
            "usage": {
                "prompt_tokens": num_prompt,
                "completion_tokens": len(tokens),
                "total_tokens": num_prompt + len(tokens),
            },
        }


def _or(value: Any, default: Any) -> Any:
    """Return `value`, or the default where a row of a frame has none."""
    return default if value is None or value != value else value  # NaN is unlike itself


def _checked(messages: Any) -> list[dict[str, str]]:
    found = [] if messages is None else list(messages)
    if not found or not all(isinstance(one, dict) and one.get("role") and one.get("content") for one in found):
        raise ValueError(f"messages is {messages!r}; expected a list of {{'role': ..., 'content': ...}}")
    return [{"role": str(one["role"]), "content": str(one["content"])} for one in found]


def _load_pyfunc(path: str) -> ChatModel:
    """Return the model in an MLflow folder: MLflow calls this by its name."""
    return ChatModel(Path(path))

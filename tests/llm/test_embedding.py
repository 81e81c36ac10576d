"""A local model's embedding of a text is the mean of its own tokens' states, whatever texts are read beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pipelines.errors import UsageError
from pipelines.llm.embedding import LONGEST_TOKENS, TextEmbedder
from pipelines.spec.fine_tuning import Pretrained

TEXTS = ["Hello.", "What does `textwrap.fill` do, and what is it for?", "x", ""]


def opened(folder: Path) -> TextEmbedder:
    return TextEmbedder.open(Pretrained(path=str(folder)), folder)


def test_an_embedding_is_the_mean_of_the_last_hidden_states(tiny_model: Path) -> None:
    model = AutoModel.from_pretrained(tiny_model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    found = opened(tiny_model).embed(TEXTS)
    for text, embedding in zip(TEXTS[:3], found, strict=False):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        assert embedding == pytest.approx(states.mean(dim=0).numpy(), abs=1e-5)
    assert found.shape == (4, 64)
    assert not found[3].any()


def test_of_a_long_text_the_beginning_is_read(tiny_model: Path) -> None:
    long = "word " * (2 * LONGEST_TOKENS)
    found = opened(tiny_model).embed([long, long + "and more"])
    assert np.array_equal(found[0], found[1])


def test_a_folder_is_known_by_the_hash_of_its_files_and_needs_no_chat_template(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    first = opened(folder).sha256
    assert first == opened(tiny_model).sha256
    (folder / "chat_template.jinja").unlink()
    assert opened(folder).sha256 != first


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("config.json", r"lacks config\.json"),
        ("tokenizer.json", r"lacks tokenizer\.json"),
        ("model.safetensors", r"lacks \*\.safetensors \(pickled weights are not loaded\)"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused(tiny_model: Path, tmp_path: Path, lost: str, told: str) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / lost).unlink()
    with pytest.raises(UsageError, match=told):
        opened(folder)


def test_a_model_that_brings_its_own_code_is_refused_and_the_code_is_not_run(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}')
    (folder / "own.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(UsageError, match=r"cannot be loaded: .*give the folder of a model that transformers knows"):
        opened(folder).embed(["Hello."])

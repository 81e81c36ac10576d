from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipelines.errors import UsageError
from pipelines.llm.pretrained import open_pretrained
from pipelines.spec.fine_tuning import Pretrained
from tests.llm.tiny import write_tiny_model


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_folder_is_named_by_the_hash_of_its_files(folder: Path, tmp_path: Path) -> None:
    first = open_pretrained(Pretrained(path=str(folder)), tmp_path)
    again = open_pretrained(Pretrained(path=str(folder)), tmp_path)
    assert (first.sha256, first.name) == (again.sha256, "model")
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert open_pretrained(Pretrained(path=str(folder)), tmp_path).sha256 != first.sha256


def test_the_tiny_model_is_the_same_every_time_and_loads(tiny_model: Path, tmp_path: Path) -> None:
    again = write_tiny_model(tmp_path / "again")
    opened = [open_pretrained(Pretrained(path=str(path)), tmp_path) for path in (tiny_model, again)]
    assert opened[0].sha256 == opened[1].sha256
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert model(**tokenizer("Hello 12", return_tensors="pt")).logits.shape[-1] == 512


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("tokenizer.json", r"lacks tokenizer\.json"),
        ("config.json", r"lacks config\.json"),
        ("model.safetensors", r"lacks \*\.safetensors \(pickled weights are not loaded\)"),
        ("chat_template.jinja", "has no chat template"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused_by_its_name(folder: Path, tmp_path: Path, lost: str, told: str) -> None:
    (folder / lost).unlink()
    with pytest.raises(UsageError, match=told):
        open_pretrained(Pretrained(path=str(folder)), tmp_path)


def test_another_architecture_is_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "resnet"}))
    with pytest.raises(UsageError, match="model_type 'resnet'"):
        open_pretrained(Pretrained(path=str(folder)), tmp_path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        open_pretrained(Pretrained(path=str(tmp_path / "nowhere")), tmp_path)
    with pytest.raises(UsageError, match=r"'no_such_package' of 'pretrained.package' is not installed"):
        open_pretrained(Pretrained(package="no_such_package"), tmp_path)
    with pytest.raises(UsageError, match="holds 0 GGUF files"):
        open_pretrained(Pretrained(package="pipelines"), tmp_path)

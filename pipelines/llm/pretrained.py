"""Open the model that is fine-tuned: a folder in Hugging Face's form, named by the hash of its files.

A GGUF file inside an installed package is converted once and kept: bf16 safetensors, which load in a third of a second
where the GGUF takes half a minute.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import DataError, UsageError
from pipelines.spec.fine_tuning import Pretrained
from pipelines.store.trees import list_files, tree_sha256

LOG = logging.getLogger(__name__)

_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_COMPLETE = "complete.json"  # written last, beside the folder: what the conversion made, by hash
_LONGEST_PROMPT_TOKENS = 8192


@dataclass(frozen=True)
class PretrainedFolder:
    """A model that is ready to be loaded; `sha256` is the hash of the list of its files with their hashes."""

    folder: Path
    sha256: str
    name: str


def open_pretrained(pretrained: Pretrained, home: Path) -> PretrainedFolder:
    """Return the folder of a pretrained model; a package's GGUF file is converted the first time.

    Args:
        pretrained: The spec's section.
        home: The environment's folder for all state; conversions are kept in `pretrained/` there.

    Raises:
        UsageError: If the package or folder is not there, or not a model that can be fine-tuned; says what it lacks.
    """
    if pretrained.package is not None:
        found = _converted(pretrained.package, home / "pretrained")
        check_model_folder(found.folder)
        return found
    folder = Path(str(pretrained.path)).expanduser().resolve()
    check_model_folder(folder)
    return PretrainedFolder(folder, tree_sha256(list_files(folder)), folder.name)


def check_model_folder(folder: Path) -> None:
    """Raise `UsageError` unless a folder holds a causal language model with safetensors, tokenizer and chat template.

    Only what can be told without loading weights is looked at.
    """
    if not folder.is_dir():
        raise UsageError(f"Pretrained model {folder} is no folder. Nothing was loaded.")
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors (pickled weights are not loaded)")
    if missing:
        raise UsageError(f"Pretrained model {folder} lacks {', '.join(missing)}. Nothing was loaded.")
    config = _read_json(folder / "config.json")
    kind = config.get("model_type")
    if not _is_causal_language_model(kind):
        raise UsageError(
            f"Pretrained model {folder} has model_type {kind!r} in config.json; allowed: one known as a"
            " causal language model, such as llama, qwen3, mistral. Nothing was loaded."
        )
    template = (folder / "chat_template.jinja").is_file() or "chat_template" in _read_json(
        folder / "tokenizer_config.json"
    )
    if not template:
        raise UsageError(
            f"Pretrained model {folder} has no chat template (chat_template.jinja, or 'chat_template' in "
            "tokenizer_config.json): conversations could not be written as it reads them. Nothing was loaded."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path} is no JSON: {error}. Nothing was loaded.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds a {type(found).__name__}, expected a mapping. Nothing was loaded.")
    return found


def _is_causal_language_model(kind: Any) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def _converted(package: str, kept: Path) -> PretrainedFolder:
    """Return the folder that a package's GGUF file was converted to; its gigabytes are hashed once."""
    source = _gguf_file(package)
    size = source.stat().st_size
    name = source.name.split(".")[0]
    folder = kept / f"{name}-{size}"
    marker = kept / f"{name}-{size}.{_COMPLETE}"
    if marker.is_file() and folder.is_dir():
        found = tree_sha256(list_files(folder))
        if found == _read_json(marker).get("sha256"):
            return PretrainedFolder(folder, found, name)
        LOG.warning("%s is not what its conversion left; it is converted anew", folder)
    LOG.info("Converting %s to bf16 safetensors, once (half a minute) ...", source.name)
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="converting-", dir=kept) as scratch:
        made = Path(scratch) / "model"
        _convert(source, made)
        marker.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            made.rename(folder)
        except OSError:  # another process was first with the same bytes
            if not folder.is_dir():
                raise
    made_sha256 = tree_sha256(list_files(folder))
    marker.write_text(json.dumps({"sha256": made_sha256, "source": source.name}))
    return PretrainedFolder(folder, made_sha256, name)


def _gguf_file(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UsageError(
            f"Package {package!r} of 'pretrained.package' is not installed; `make install` installs those that the "
            "specs of this project name. Nothing was loaded."
        )
    files = sorted(path for folder in found.submodule_search_locations for path in Path(folder).glob("*.gguf"))
    if len(files) != 1:
        raise UsageError(f"Package {package!r} holds {len(files)} GGUF files; needed: exactly one. Nothing was loaded.")
    return files[0]


def _convert(source: Path, folder: Path) -> None:
    """Write a GGUF file's model and tokenizer as Hugging Face writes them."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    if tokenizer.chat_template is None:
        raise DataError(f"{source} has no chat template. Nothing was converted.")
    # The conversion drops the step that cuts numbers into digits; with it, ids are those of llama.cpp.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = _LONGEST_PROMPT_TOKENS
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

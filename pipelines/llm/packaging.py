"""What makes a stored model's folder one that MLflow loads: its description, and the code that answers."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Object, Property, Schema

from pipelines.llm import chat_model
from pipelines.registry.provenance import requirements
from pipelines.registry.versions import PAPERS_FOLDER
from pipelines.store.base import Store

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)  # MLflow, of its own
    import mlflow.pyfunc

LOADER = "tandem_chat_model"
CODE_FOLDER = "code"
REQUIRED_PACKAGES = ("mlflow", "pandas", "safetensors", "tokenizers", "torch", "transformers")


def store_package(store: Store, prefix: str, run_id: str, papers: Mapping[str, bytes], model_size_bytes: int) -> None:
    """Put MLflow's files beside a model's own in the store; the weights stay where they are.

    `MLmodel` comes last: with it the folder is one that MLflow loads.

    Args:
        store: Where the model is.
        prefix: The folder of the model's files.
        run_id: The MLflow run that trained it.
        papers: More files by name, such as the model card; they go into the folder `tandem`.
        model_size_bytes: Size of the weights and all that goes with them.
    """
    for name, data in papers.items():
        store.write(f"{prefix}/{PAPERS_FOLDER}/{name}", data)
    with tempfile.TemporaryDirectory(prefix="tandem-") as scratch:
        folder = Path(scratch)
        (folder / CODE_FOLDER).mkdir()
        shutil.copyfile(str(chat_model.__file__), folder / CODE_FOLDER / f"{LOADER}.py")
        packages = [one.partition("+")[0] for one in requirements(*REQUIRED_PACKAGES)]  # of torch any build will do
        (folder / "requirements.txt").write_text("\n".join(packages) + "\n", encoding="utf-8")
        model = Model(run_id=run_id, signature=chat_signature(), model_size_bytes=model_size_bytes)
        mlflow.pyfunc.add_to_model(
            model, loader_module=LOADER, data=None, code=CODE_FOLDER, pip_requirements="requirements.txt"
        )
        model.save(str(folder / "MLmodel"))
        for path in (folder / CODE_FOLDER / f"{LOADER}.py", folder / "requirements.txt", folder / "MLmodel"):
            store.upload(f"{prefix}/{path.relative_to(folder).as_posix()}", path)


def chat_signature() -> ModelSignature:
    """Return MLflow's words for conversations in and chat completions out."""
    message = Object([Property("role", DataType.string), Property("content", DataType.string)])
    choice = Object(
        [Property("index", DataType.long), Property("message", message), Property("finish_reason", DataType.string)]
    )
    counts = [Property(f"{part}_tokens", DataType.long) for part in ("prompt", "completion", "total")]
    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(Array(message), "messages"),
                ColSpec(DataType.long, "max_tokens", required=False),
                ColSpec(DataType.double, "temperature", required=False),
            ]
        ),
        outputs=Schema(
            [
                ColSpec(DataType.string, "id"),
                ColSpec(DataType.string, "object"),
                ColSpec(DataType.long, "created"),
                ColSpec(DataType.string, "model"),
                ColSpec(Array(choice), "choices"),
                ColSpec(Object(counts), "usage"),
            ]
        ),
    )

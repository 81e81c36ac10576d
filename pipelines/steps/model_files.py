"""Hold a model in the store to its hash, whether it is one file or many, and see that it can be loaded."""

from __future__ import annotations

from pipelines.llm.pretrained import check_model_folder
from pipelines.store import Store
from pipelines.store.trees import MANIFEST, fetch_tree
from pipelines.store.verified import fetch_verified


def check_model(store: Store, key: str, sha256: str, loads: bool = False) -> None:
    """Read every byte of a model.

    Args:
        store: Where it is.
        key: Of its one file, or of the manifest of its files.
        sha256: The hash of that object.
        loads: Whether to see too that it can be loaded; of a language model only what its small files tell of that.

    Raises:
        ObjectMissing: If a file is gone.
        IntegrityError: If a file is not what was written.
        UsageError: If a language model's folder is none that can be loaded.
    """
    if key.endswith(f"/{MANIFEST}"):
        with fetch_tree(store, key, sha256) as folder:
            if loads:
                check_model_folder(folder)
        return
    with fetch_verified(store, key, sha256) as path:
        if loads:
            from pipelines.classic.estimators.persistence import load_model  # seconds, and only here

            load_model(path)

"""Where in the store a fine-tuning's plan and its packed corpus lie."""

from __future__ import annotations

from pipelines.llm.sequences import MANIFEST


def packed_key(model: str, packed_sha256: str, file: str = MANIFEST) -> str:
    """Return the key of a file of a packed corpus.

    Args:
        model: The model's name.
        packed_sha256: The hash of the corpus's manifest.
        file: The file's path beside the manifest; the manifest itself where left out.

    >>> packed_key("toy", "ab12")
    'toy/packed/ab12/manifest.json'
    """
    return f"{model}/packed/{packed_sha256}/{file}"


def plan_key(model: str, plan_id: str) -> str:
    """Return the key of a plan.

    >>> plan_key("toy", "ab12")
    'toy/plans/ab12.json'
    """
    return f"{model}/plans/{plan_id}.json"

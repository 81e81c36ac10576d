"""What the tests of a language model's steps share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.llm.evaluation import language_model


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that weights were read from, in order."""
    found: list[Path] = []
    load: Callable[..., Any] = language_model.AutoModelForCausalLM.from_pretrained

    def counted(folder: Path, **settings: Any) -> Any:
        found.append(folder)
        return load(folder, **settings)

    monkeypatch.setattr(language_model.AutoModelForCausalLM, "from_pretrained", counted)
    return found

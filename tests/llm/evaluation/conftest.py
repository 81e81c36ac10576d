"""The tiny model, ready to be measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.llm.evaluation.language_model import LanguageModel


@pytest.fixture(scope="session")
def lm(tiny_model: Path) -> LanguageModel:
    """The tiny model in fp32, so that what is compared differs by rounding alone."""
    loaded = LanguageModel.load(tiny_model)
    return replace(loaded, model=loaded.model.float())

"""What texts are about, as the mean of their embeddings: mergeable, and how alike they are comes from it."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.data.embeddings import EmbeddingProfile, merge_embeddings

VECTORS = np.random.default_rng(0).normal(1, 1, (60, 8))


def test_the_spread_is_one_less_the_mean_cosine_of_two_texts() -> None:
    found = EmbeddingProfile.of(VECTORS, "m")
    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    assert found.centroid == pytest.approx(units.mean(axis=0))
    assert 1 - found.spread == pytest.approx((units @ units.T).mean())
    assert (found.count, found.squares) == (60, pytest.approx(60))


def test_parts_merge_to_the_whole_and_a_text_without_direction_is_left_out() -> None:
    whole = EmbeddingProfile.of(np.vstack([VECTORS, np.zeros(8)]), "m")
    merged = merge_embeddings([EmbeddingProfile.of(VECTORS[:13], "m"), EmbeddingProfile.of(VECTORS[13:], "m")])
    assert merged.count == whole.count == 60
    assert merged.centroid == pytest.approx(whole.centroid)
    assert EmbeddingProfile.model_validate_json(merged.to_bytes()) == merged


def test_what_two_models_made_or_one_part_has_not_merges_to_nothing() -> None:
    parts = [EmbeddingProfile.of(VECTORS, model) for model in "ab"]
    assert merge_embeddings(parts) is None
    assert merge_embeddings([parts[0], None]) is None
    assert merge_embeddings([]) is None

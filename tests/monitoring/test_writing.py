"""Writing on other things is seen by its words and by its embeddings; samples of the same texts raise no alarm."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp

from pipelines.data.embeddings import EmbeddingProfile
from pipelines.data.profiles import TextProfile
from pipelines.data.profiling import profile_table
from pipelines.data.sources.python_docs import read_python_docs
from pipelines.monitoring.writing import centroids_apart, words_apart
from pipelines.records import Window
from pipelines.spec.watching import Drift

FAR, RATE = Drift().minimum_distance, Drift().false_discovery_rate


@cache
def documentation() -> tuple[np.ndarray, np.ndarray]:
    """Return real questions, each another one, and the module that each is about."""
    table = read_python_docs(Window()).read_all()
    modules = [name.partition(".")[0] for name in table["document"].to_pylist()]
    return np.array(table["question"].to_pylist(), object), np.array(modules, object)


def profiled(texts, **changes) -> TextProfile:
    return profile_table(pa.table({"x": pa.array(list(texts), pa.string())}), ["x"]).column("x").text


@pytest.mark.parametrize(("num_reference", "num_new"), [(3_000, 3_000), (5_000, 200), (300, 300), (50, 50)])
def test_halves_of_the_same_texts_are_not_apart(num_reference: int, num_new: int) -> None:
    rng, (questions, _) = np.random.default_rng(num_new), documentation()
    found = []
    for _ in range(20):
        order = rng.permutation(questions)
        found.append(words_apart(profiled(order[:num_reference]), profiled(order[num_reference:][:num_new])))
    assert np.mean([one.distance for one in found]) < 0.01
    assert np.mean([one.p_value < 0.05 for one in found]) <= 0.2
    assert sum(one.distance >= FAR and one.p_value <= RATE for one in found) == 0


def test_texts_on_other_modules_are_far_away() -> None:
    rng, (questions, modules) = np.random.default_rng(0), documentation()
    for _ in range(10):
        others = rng.permutation(np.unique(modules))
        inside = np.isin(modules, others[: len(others) // 8])
        found = words_apart(profiled(questions[~inside]), profiled(rng.permutation(questions[inside])[:200]))
        assert found.distance >= FAR
        assert found.p_value < 1e-6


def test_one_word_that_is_suddenly_everywhere_is_seen_and_the_distance_says_how_much_it_is() -> None:
    rng = np.random.default_rng(0)
    texts = [f"please sell {number} pears to customer {rng.integers(11)}" for number in range(11, 2_011)]
    new = [f"please sell {number} plums to customer {rng.integers(11)}" for number in range(11, 511)]
    found = words_apart(profiled(texts), profiled(new))
    assert found.distance == pytest.approx(1 / 7, abs=0.02)  # one of seven words
    assert found.p_value < 1e-100


def test_a_few_long_texts_do_not_pass_for_many() -> None:
    rng = np.random.default_rng(0)
    short = [" ".join(f"w{number}" for number in rng.integers(0, 50, 8)) for _ in range(400)]
    seldom = " ".join(f"v{number}" for number in range(3_000))
    found = words_apart(profiled(short), profiled([*short[:199], seldom]))
    assert found.p_value > 0.01


def test_texts_without_a_word_are_compared_with_nothing() -> None:
    assert words_apart(profiled(["...", "?!"]), profiled(["a b"])) is None
    plain = profile_table(pa.table({"x": ["a"] * 9})).column("x").text
    assert words_apart(plain, profiled(["a b"])) is None


def embedded(embeddings: np.ndarray, model: str = "m") -> TextProfile:
    return profiled(["a b"]).model_copy(update={"embedding": EmbeddingProfile.of(embeddings, model)})


def around(rng: np.random.Generator, middle: np.ndarray, num_texts: int, sd: float = 1.0) -> np.ndarray:
    """Return embeddings as language models give them: far from 0, all in about one direction, some directions wide."""
    return middle + sd * rng.normal(size=(num_texts, middle.size)) / np.arange(1, middle.size + 1)


MIDDLE = np.full(64, 3.0)


@pytest.mark.parametrize(
    ("num_reference", "num_new", "alarms"), [(1_000, 1_000, 0.0), (1_000, 50, 0.07), (30, 30, 0.07)]
)
def test_random_halves_of_the_same_embeddings_are_not_apart(num_reference: int, num_new: int, alarms: float) -> None:
    rng = np.random.default_rng(0)
    found = [
        centroids_apart(embedded(around(rng, MIDDLE, num_reference)), embedded(around(rng, MIDDLE, num_new)))
        for _ in range(200)
    ]
    assert np.mean([one.p_value <= 0.05 for one in found]) <= 0.07
    assert np.mean([one.distance for one in found]) < FAR / 2
    assert sum(one.distance >= FAR and one.p_value <= RATE for one in found) <= alarms * len(found)


def test_embeddings_elsewhere_are_apart_by_how_far_it_is_and_not_by_how_many_there_are() -> None:
    rng, elsewhere = np.random.default_rng(0), MIDDLE + np.eye(64)[1]
    few, many = (
        centroids_apart(embedded(around(rng, MIDDLE, 10 * count)), embedded(around(rng, elsewhere, count)))
        for count in (100, 1_000)
    )
    assert few.distance == pytest.approx(many.distance, rel=0.3)
    assert few.distance > FAR
    assert many.p_value < few.p_value < 1e-4


def test_the_distance_of_embeddings_is_that_of_numbers_that_moved_as_far() -> None:
    rng = np.random.default_rng(0)
    sideways, narrow = np.zeros(64), np.full(64, 100.0)  # a cosine near 1 between any two
    sideways[[0, 1]] = 0.5, -0.5
    spread = np.sqrt((1 / np.arange(1, 65) ** 2).sum())
    found = centroids_apart(embedded(around(rng, narrow, 5_000)), embedded(around(rng, narrow + sideways, 5_000)))
    numbers = rng.normal(0, 1, 200_000), rng.normal(np.linalg.norm(sideways) / spread, 1, 200_000)
    assert found.distance == pytest.approx(ks_2samp(*numbers).statistic, rel=0.1)


def test_embeddings_of_two_models_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    left, right = (embedded(around(rng, MIDDLE, 9), model) for model in "ab")
    assert centroids_apart(left, right) is None
    assert centroids_apart(left, profiled(["a b"])) is None

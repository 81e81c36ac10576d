"""Tell how far apart two profiles of a column of writing are: in the words that are used, and in what they are about.

Both are told from what a profile keeps, without a single text. Distances say how much; p-values, how surely that is no
chance, counted in texts and not in words: the words of one text go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import hypergeom

from pipelines.data.profiles import TextProfile
from pipelines.data.quantiles import QuantileSummary
from pipelines.data.sketches import WordSketch
from pipelines.monitoring.distances import Apart, less_chance

SMALLEST_SHARE = 0.001  # of all words of the reference: from here on a word is looked at by itself
SMALLEST_NEW_SHARE = 0.005  # the same for a word of the new texts that the reference seldom has, or not at all
_BANDS = (0.0003, 0.0001)  # words that are seldomer go together with those about as seldom in the reference
_FEWEST_TEXTS = 25  # in which a word stands, to be looked at by itself
_FEWEST_IN_BAND = 10  # seldomer ones came by chance: as many others would come in texts of the same kind
_CERTAIN = 0.99  # nothing speaks more for chance than this
_BOUND_HOLDS = 0.2  # largest p-value of a quadratic form that one of a single direction bounds
_TINY = 1e-300

Floats = npt.NDArray[np.float64]


def words_apart(reference: TextProfile, new: TextProfile) -> Apart | None:
    """Return how far apart the words of two groups of texts are; None where they were not counted.

    The distance is the total variation of the words: what share of the words of one group others would have to take the
    place of. What chance gives is taken off. Words that are frequent in the reference, or in the new texts, count by
    themselves; seldom ones together with others about as seldom in the reference; and what it hardly knows, or does not
    know at all, together: texts on something new have other seldom words, and more of them.

    The p-value puts together those of the single words by Cauchy's distribution, which holds however words depend on
    each other. Each is that of Fisher's exact test of the texts with and without the word, as mid-p. Where a sketch
    does not know a count exactly, only what lies surely between the two sides counts.

    Args:
        reference: At least one text.
        new: At least one text.

    Source: Liu and Xie, Cauchy Combination Test, Journal of the American Statistical Association 115 (2020).
    """
    if reference.words is None or new.words is None:
        return None
    left, right = _Words.of(reference), _Words.of(new)
    if not left.total or not right.total:
        return None
    alone, bands = _chosen(left, right)
    shares = np.array([side.shares(alone, bands) for side in (left, right)])
    apart, error = np.abs(shares[0] - shares[1]), _errors(left, right, shares, len(alone))
    together = special.erfc((apart / np.maximum(error, _TINY))[len(alone) :] / np.sqrt(2))
    p_values = np.concatenate([_exact(left, right, alone), together])
    return Apart(min(less_chance(apart, error), 1.0), None, _combined(p_values))


def centroids_apart(reference: TextProfile, new: TextProfile) -> Apart | None:
    """Return how far apart what two groups of texts are about is; None where no model read both.

    The distance is on the scale of the others: the Kolmogorov-Smirnov distance of two normal distributions that are as
    far apart as the means of the embeddings, and as wide as the reference's embeddings are spread. So a model whose
    texts all have a cosine near 1 counts like any other. Embeddings have length 1: the squared distance of two means is
    twice by how much less alike (less cosine) texts of both sides are than those of one. What two random halves of the
    reference differ by, just because they are samples, is taken off.

    The p-value is an upper bound: of all quadratic forms of normal variables with the same mean, one that varies in a
    single direction is the most likely to go far, for p-values up to 0.21.

    Args:
        reference: At least one text.
        new: At least one text.

    Source: Székely and Bakirov, Extremal probabilities for Gaussian quadratic forms, Probability Theory and Related
    Fields 126 (2003).
    """
    left, right = reference.embedding, new.embedding
    if left is None or right is None or left.embedder != right.embedder or not left.count or not right.count:
        return None
    chance = left.spread / left.count + right.spread / right.count
    squared = float(((left.centroid - right.centroid) ** 2).sum())
    distance = float(special.erf(np.sqrt(max(squared - chance, 0.0) / max(left.spread, _TINY) / 8)))
    p_value = float(special.chdtrc(1, squared / max(chance, _TINY)))
    return Apart(distance, None, p_value if p_value <= _BOUND_HOLDS else 1.0)


@dataclass(frozen=True)
class _Words:
    """The least and the most texts that hold each word, and the most that hold any other one.

    `total` counts each word of each text. `effective_texts` are fewer than there are where some are much longer.
    """

    bounds: dict[str, tuple[int, int]]
    other: int
    total: int
    num_texts: int
    effective_texts: float

    @classmethod
    def of(cls, text: TextProfile) -> _Words:
        sketch = WordSketch.merged([text.words or ""])
        return cls(*sketch.bounds(), sketch.total, text.count, _effective_texts(text))

    def table(self, words: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the least and the most texts that hold each word, shape (2, k)."""
        return np.array([self.bounds.get(word, (0, self.other)) for word in words], np.int64).reshape(-1, 2).T

    def shares(self, alone: Sequence[str], bands: Sequence[Sequence[str]]) -> Floats:
        """Return the share of all words that are each of those alone, those of each band, and all others."""
        counts = [*self.table(alone).mean(axis=0), *(self.table(band).mean(axis=0).sum() for band in bands)]
        return np.array([*counts, max(self.total - sum(counts), 0.0)]) / self.total


def _chosen(left: _Words, right: _Words) -> tuple[list[str], list[list[str]]]:
    """Return the words that are looked at by themselves, and those of each band."""
    few, new_few = max(SMALLEST_SHARE * left.total, _FEWEST_TEXTS), max(SMALLEST_NEW_SHARE * right.total, _FEWEST_TEXTS)
    alone = {word for word, (low, _) in left.bounds.items() if low >= few}
    alone |= {word for word, (low, _) in right.bounds.items() if low >= new_few}
    bands, most = [], few
    for share in _BANDS:
        least = max(share * left.total, _FEWEST_IN_BAND)
        bands.append(
            sorted(word for word, (low, _) in left.bounds.items() if least <= low < most and word not in alone)
        )
        most = least
    return sorted(alone), bands


def _errors(left: _Words, right: _Words, shares: Floats, num_alone: int) -> Floats:
    """Return the standard error of the difference of each share: counted in texts, of which no share varies more."""
    texts = np.array([[left.num_texts], [right.num_texts]], float)
    per_text = np.array([[left.total], [right.total]]) / texts  # words
    holding = np.clip((shares * per_text * texts).sum(axis=0)[:num_alone] / texts.sum(), 0, 1)
    effective = np.array([[left.effective_texts], [right.effective_texts]])
    together = shares[:, num_alone:]
    pooled = (together * effective).sum(axis=0) / effective.sum()
    of_pooled, of_each = (
        pooled * (1 - pooled) * (1 / effective).sum(),
        (together * (1 - together) / effective).sum(axis=0),
    )
    variance = [holding * (1 - holding) * (1 / texts / per_text**2).sum(), np.maximum(of_pooled, of_each)]
    return np.asarray(np.sqrt(np.clip(np.concatenate(variance), 0, None)))


def _exact(left: _Words, right: _Words, words: Sequence[str]) -> Floats:
    """Return the mid-p of Fisher's exact test for each word, with the counts that are the nearest to each other."""
    (low, high), (new_low, new_high) = left.table(words), right.table(words)
    rose = new_low * left.num_texts > high * right.num_texts
    fell = new_high * left.num_texts < low * right.num_texts
    held, now = np.where(rose, high, low), np.where(rose, new_low, new_high)
    at_most = hypergeom(left.num_texts + right.num_texts, held + now, right.num_texts)
    below = at_most.cdf(now) - at_most.pmf(now) / 2
    exact = (high == low) & (new_high == new_low)
    return np.where(rose | fell | exact, 2 * np.minimum(below, 1 - below), 0.5)  # 0.5: says nothing


def _combined(p_values: Floats) -> float:
    """Return one p-value for all by the Cauchy distribution.

    >>> round(_combined(np.array([0.02, 0.02, 0.02])), 6), round(_combined(np.array([1e-30, 0.5])), 31)
    (0.02, 2e-30)
    """
    bounded = np.clip(p_values, _TINY, _CERTAIN)
    small = bounded < 1e-8  # where the tangent is 1 / (pi p), and 0.5 - p has no digits left
    angles = np.where(small, 1 / np.pi / bounded, np.tan((0.5 - np.where(small, 0.5, bounded)) * np.pi))
    mean = float(angles.mean())
    return 1 / np.pi / mean if mean > 1e8 else float(0.5 - np.arctan(mean) / np.pi)


def _effective_texts(text: TextProfile) -> float:
    """Return how many texts of one length would say as much: of a few that are long, each weighs more than others."""
    if text.lengths is None:
        return float(text.count)
    summary = QuantileSummary.decode(text.lengths)
    total, squares = (summary.weights * summary.values).sum(), (summary.weights * summary.values**2).sum()
    return float(total**2 / squares) if squares else float(text.count)

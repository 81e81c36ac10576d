"""Keep what a model is examined with out of what it learns: no run of N words of the one stays in the other.

Runs are compared by 64-bit hashes of their words, so that the examined text costs 8 bytes a word. A hash could match by
chance; how often it does is measured, not assumed: each match is compared word for word afterwards, and the same search
is made on training text whose words were shuffled, where each match is one by chance.

Source: T. Brown et al., Language Models are Few-Shot Learners, 2020, appendix C: runs of 13 words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipelines.llm.corpus.duplicates import words_of

_EXAMPLES = 5
_SHUFFLED_EACH = 4  # every so many-th conversation is searched again with its words shuffled

Texts = Callable[[], Iterator[str]]
"""Gives the examined texts from the beginning, each time that it is called."""


@dataclass(frozen=True)
class Match:
    """A training row that shares a run of words with an examined text."""

    row: int
    document: str
    words: str


@dataclass(frozen=True)
class Outcome:
    """What the search came to.

    `num_confirmed` of the `num_matched` rows share the very words; the others matched by chance. `num_shuffled_matches`
    of `num_shuffled_runs` runs of shuffled training text matched, all by chance.
    """

    num_texts: int
    num_short_texts: int
    num_runs: int
    num_searched: int
    num_matched: int
    num_confirmed: int
    num_shuffled_runs: int
    num_shuffled_matches: int
    examples: tuple[Match, ...]

    @property
    def false_positive_rate(self) -> float:
        """The share of runs that match by chance, from 0 to 1: measured on shuffled text."""
        return self.num_shuffled_matches / self.num_shuffled_runs if self.num_shuffled_runs else 0.0


class Overlap:
    """The runs of words of all examined texts, and what training text was found to share with them."""

    def __init__(self, texts: Texts, num_words: int) -> None:
        self._texts, self._num_words = texts, num_words
        self._num_texts = self._num_short = self._num_searched = 0
        self._shuffled_runs = self._shuffled_matches = 0
        self._runs = self._gathered()
        self._matches: list[tuple[Match, int]] = []

    def search(self, rows: Sequence[int], documents: Sequence[str], texts: Sequence[str]) -> np.ndarray:
        """Return which training texts share a run of words with an examined one, shape (n,)."""
        found = [self._shares(*each) for each in zip(rows, documents, texts, strict=True)]
        return np.array(found, bool)

    def outcome(self) -> Outcome:
        """Return what was found until now, each match compared word for word."""
        confirmed = self._confirmed({number for _, number in self._matches})
        return Outcome(
            num_texts=self._num_texts,
            num_short_texts=self._num_short,
            num_runs=len(self._runs),
            num_searched=self._num_searched,
            num_matched=len(self._matches),
            num_confirmed=sum(match.words in confirmed for match, _ in self._matches),
            num_shuffled_runs=self._shuffled_runs,
            num_shuffled_matches=self._shuffled_matches,
            examples=tuple(match for match, _ in self._matches[:_EXAMPLES]),
        )

    def _gathered(self) -> np.ndarray:
        parts = [np.empty(0, np.uint64)]
        for text in self._texts():
            found = run_hashes(words_of(text), self._num_words)
            self._num_texts += 1
            self._num_short += len(found) == 0
            parts.append(found)
            if len(parts) > 10_000:
                parts = [_different(parts)]
        return _different(parts)

    def _shares(self, row: int, document: str, text: str) -> bool:
        words = words_of(text)
        hashes = run_hashes(words, self._num_words)
        self._num_searched += 1
        if row % _SHUFFLED_EACH == 0 and len(hashes):
            order = np.random.default_rng(row).permutation(len(words))
            shuffled = run_hashes([words[place] for place in order], self._num_words)
            self._shuffled_runs += len(shuffled)
            self._shuffled_matches += int(np.count_nonzero(_among(shuffled, self._runs)))
        places = np.flatnonzero(_among(hashes, self._runs))
        if not len(places):
            return False
        first = int(places[0])
        run = " ".join(words[first : first + self._num_words])
        self._matches.append((Match(row, document, run), int(hashes[first])))
        return True

    def _confirmed(self, numbers: set[int]) -> set[str]:
        """Return the examined runs of words that have one of these hashes."""
        if not numbers:
            return set()
        wanted, found = np.array(sorted(numbers), np.uint64), set()
        for text in self._texts():
            words = words_of(text)
            for place in np.flatnonzero(_among(run_hashes(words, self._num_words), wanted)).tolist():
                found.add(" ".join(words[place : place + self._num_words]))
        return found


def run_hashes(words: Sequence[str], num_words: int) -> np.ndarray:
    """Return the hash of each run of `num_words` words, in order, uint64; none of fewer words than that."""
    if len(words) < num_words:
        return np.empty(0, np.uint64)
    single = np.fromiter((_word_hash(word) for word in words), np.uint64, len(words))
    count = len(words) - num_words + 1
    runs = np.zeros(count, np.uint64)
    for place in range(num_words):  # a sum of odd multiples, modulo 2 ** 64: the order of the words counts
        runs += single[place : place + count] * _odd(place)
    return runs


def _different(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return every hash once, ascending; np.unique would hash what is hashed already, and takes ten times as long."""
    hashes = np.sort(np.concatenate(parts))
    return hashes[np.concatenate([[True], hashes[1:] != hashes[:-1]])] if len(hashes) else hashes


def _among(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which hashes are in `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.asarray(known[places] == hashes, bool)


@lru_cache(maxsize=1 << 20)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=64)
def _odd(place: int) -> np.uint64:
    return np.uint64(_word_hash(f"place {place}") | 1)


def texts_of(*sources: Callable[[], Iterable[str]]) -> Texts:
    """Return one source of texts that gives those of all, one after the other."""

    def texts() -> Iterator[str]:
        for source in sources:
            yield from source()

    return texts

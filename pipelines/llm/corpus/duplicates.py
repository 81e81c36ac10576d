"""Find conversations that are the same, exactly or in nearly the same words, and group them so that no cut parts them.

Exactly the same is told by hash. Nearly the same is told by MinHash signatures of word shingles: pairs that agree in a
whole band are candidates, and those whose signatures agree in at least the wanted share are near-duplicates. Memory is
about 600 bytes a conversation, whatever its length.

Source: A. Broder, On the resemblance and containment of documents, 1997; datasketch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from datasketch import MinHash, MinHashLSH

from pipelines.records import sha256_of
from pipelines.spec.corpus import NearDuplicates

NUM_PERMUTATIONS = 128  # similarity .8 is told to within .035
_SCHEME = "affine32"
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Return the words of a text, lower-case, without what stands between them."""
    return _WORD.findall(text.lower())


def shingles(text: str, num_words: int) -> set[bytes]:
    """Return all runs of `num_words` words; the whole of a text with fewer. None of a text without words."""
    words = words_of(text)
    if not words:
        return set()
    last = max(len(words) - num_words, 0)
    return {" ".join(words[start : start + num_words]).encode() for start in range(last + 1)}


@dataclass(frozen=True)
class Duplicates:
    """What was found, an entry a row: arrays of shape (n,).

    `first` is the row that a row is the same as, or nearly the same; its own number where it is neither. `groups` are
    names that equal content keeps in any order of rows.
    """

    exact: np.ndarray
    near: np.ndarray
    first: np.ndarray
    groups: tuple[str, ...]


@dataclass
class DuplicateFinder:
    """Takes conversations one after the other, and in the end tells which of them are duplicates."""

    settings: NearDuplicates
    _contents: list[bytes] = field(default_factory=list)
    _documents: list[int] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)
    _signatures: list[np.ndarray] = field(default_factory=list)

    def add(self, texts: Sequence[str], content_sha256: Sequence[str], documents: Sequence[str | None]) -> None:
        """Take more rows: what was said in each, its hash, and the document that it was cut from, if any is known."""
        pieces = (shingles(text, self.settings.shingle_words) for text in texts)
        made = MinHash.generator(pieces, num_perm=NUM_PERMUTATIONS, scheme=_SCHEME, hashfunc=_hash32)
        signatures = [one.hashvalues for one in made]
        if signatures:
            self._signatures.append(np.stack(signatures))
        self._contents += [bytes.fromhex(text) for text in content_sha256]
        self._documents += [
            -1 if name is None else self._names.setdefault(name, len(self._names)) for name in documents
        ]

    def find(self) -> Duplicates:
        """Return what was found in all rows, the first of which is kept of each set of duplicates."""
        num_rows = len(self._contents)
        own = np.arange(num_rows)
        first_of: dict[bytes, int] = {}
        same = np.array([first_of.setdefault(content, row) for row, content in enumerate(self._contents)], np.int64)
        exact = same != own
        near_first = self._near(np.flatnonzero(~exact))
        first = near_first[same]
        return Duplicates(exact, (first != own) & ~exact, first, tuple(self._groups(first, exact)))

    def _near(self, rows: np.ndarray) -> np.ndarray:
        """Return for each row the first row of its set of near-duplicates; only `rows` are compared."""
        sets = _Sets(len(self._contents))
        if len(rows):
            signatures = np.concatenate(self._signatures)[rows]
            for one, other in similar_pairs(signatures, self.settings.similarity):
                sets.join(int(rows[one]), int(rows[other]))
        return sets.firsts()

    def _groups(self, first: np.ndarray, exact: np.ndarray) -> Iterator[str]:
        """Yield the name of each row's group.

        A duplicate that is set aside stands with the one that is kept, not with its own document: it would tie whole
        documents together for nothing. Near-duplicates that are all kept make one group of their documents.
        """
        sets = _Sets(len(first) + len(self._names))
        for row, (anchor, document) in enumerate(zip(first.tolist(), self._documents, strict=True)):
            sets.join(row, anchor)
            if document >= 0 and not exact[row] and (anchor == row or not self.settings.keep_one):
                sets.join(row, len(first) + document)
        found = sets.firsts()
        smallest = self._smallest_names(found)
        yield from (smallest[int(root)] for root in found[: len(first)])

    def _smallest_names(self, found: np.ndarray) -> dict[int, str]:
        """Return a name for each set: of its documents where it has any, else of its contents, the smallest hash."""
        documents: dict[int, str] = {}
        contents: dict[int, str] = {}
        num_rows = len(self._contents)
        for name, number in self._names.items():
            root, text = int(found[num_rows + number]), sha256_of(f"document {name}".encode())[:16]
            documents[root] = min(documents.get(root, text), text)
        for row, content in enumerate(self._contents):
            root, text = int(found[row]), content.hex()[:16]
            contents[root] = min(contents.get(root, text), text)
        return contents | documents


def similar_pairs(signatures: np.ndarray, similarity: float) -> Iterator[tuple[int, int]]:
    """Yield enough pairs (i, j) of near-duplicates, i < j, to join all of them; signatures have shape (n, 128).

    Within one bucket of a band, a row is compared with those that were like none before it.
    """
    index = MinHashLSH(threshold=similarity, num_perm=NUM_PERMUTATIONS)
    for band in range(index.b):
        part = np.ascontiguousarray(signatures[:, band * index.r : (band + 1) * index.r])
        keys = part.view(f"V{part.itemsize * index.r}").ravel()
        _, bucket, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        order = np.argsort(bucket, kind="stable")
        ends = np.cumsum(sizes)
        for end, size in zip(ends[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            yield from _pairs_in_bucket(order[end - size : end], signatures, similarity)


def _pairs_in_bucket(rows: np.ndarray, signatures: np.ndarray, similarity: float) -> Iterator[tuple[int, int]]:
    leaders = [int(rows[0])]
    for row in rows[1:].tolist():
        alike = (signatures[leaders] == signatures[row]).mean(axis=1)
        best = int(np.argmax(alike))
        if alike[best] >= similarity:
            yield leaders[best], row
        else:
            leaders.append(row)


class _Sets:
    """Disjoint sets of whole numbers, each known by its smallest member."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        self._parents[second] = first

    def firsts(self) -> np.ndarray:
        return np.array([self._root(number) for number in range(len(self._parents))], np.int64)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


def _hash32(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "little")

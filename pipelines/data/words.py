"""Tell which words a column of writing uses: in how many of its texts each stands, in bounded memory, mergeable.

A text counts a word once, however often it has it: texts are what was sampled, so how sure a difference is hangs on
their number. Upper and lower case are one, and so are a letter with its accent and both after each other; words are
kept in the latter form. Where a script has no spaces between words, a character is a word.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.sketches import WordSketch

MOSTLY_DISTINCT = 0.5  # share of texts that are different ones, above which they are no categories but writing
_FEWEST_WORDS = 2.0  # of a text, on average: below, distinct texts are names or numbers of something
_LOOKED_AT = 500  # texts that say how many words a text has
_LONGEST = 10_000  # characters of a text that are read
_AT_ONCE = 1_024  # texts: 10 MB of them, and some copies, at most

_BETWEEN = r"[^\p{L}\p{M}\p{N}]+"
_WITHOUT_SPACES = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"

Counts = npt.NDArray[np.int64]


def is_writing(texts: pa.Array, num_values: int) -> bool:
    """Tell whether `num_values` values, of which `texts` are the distinct ones, are writing and no categories."""
    if len(texts) <= MOSTLY_DISTINCT * num_values:
        return False
    places = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), _LOOKED_AT)).astype(np.int64))
    words = _words(texts.take(pa.array(places)))[1]
    return int(pc.sum(pc.not_equal(words, "")).as_py() or 0) >= _FEWEST_WORDS * places.size


def count_words(texts: pa.Array, counts: Counts) -> WordSketch:
    """Return in how many rows each word stands.

    Args:
        texts: Distinct texts, shape (n,), in a fixed order: the same texts then give the same sketch.
        counts: The rows that hold each of them, shape (n,).
    """
    sketch = WordSketch()
    for words, rows in _counted(texts, counts):
        sketch.update(words.tolist(), rows.tolist())
    return sketch


def _counted(texts: pa.Array, counts: Counts) -> Iterator[tuple[npt.NDArray[np.object_], Counts]]:
    """Yield words, in order, and the rows that hold them, for some texts at a time."""
    for start in range(0, len(texts), _AT_ONCE):
        parents, words = _words(texts.slice(start, _AT_ONCE))
        listed = words.dictionary_encode()
        size = max(len(listed.dictionary), 1)
        pairs = np.unique(parents * size + np.asarray(listed.indices, np.int64))  # each word once a text
        rows = np.bincount(pairs % size, counts[start : start + _AT_ONCE][pairs // size], size).astype(np.int64)
        found = np.asarray(listed.dictionary.to_pylist(), object)
        order = np.argsort(found, kind="stable")
        order = order[[bool(found[place]) for place in order]] if found.size else order
        yield found[order], rows[order]


def _words(texts: pa.Array) -> tuple[Counts, pa.Array]:
    """Return all words, one after the other, and the place of the text that each is from; some words may be empty."""
    plain = pc.utf8_lower(pc.utf8_normalize(pc.utf8_slice_codeunits(texts, 0, _LONGEST), "NFKC"))
    if pc.any(pc.match_substring_regex(plain, _WITHOUT_SPACES)).as_py():
        plain = pc.replace_substring_regex(plain, _WITHOUT_SPACES, r" \1 ")
    lists = pc.split_pattern_regex(plain, _BETWEEN)
    return np.asarray(pc.list_parent_indices(lists), np.int64), pc.list_flatten(lists)

"""Count distinct values and find frequent ones in bounded memory, with Apache DataSketches, as text fit for JSON.

Both sketches are deterministic as long as they are fed in a fixed order, so callers feed sorted distinct values.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Self

from datasketches import (
    frequent_items_error_type,
    frequent_strings_sketch,
    hll_sketch,
    hll_union,
    tgt_hll_type,
)

_LG_REGISTERS = 12  # 4,096 registers: 1.6 % standard error in 4 KB
_LG_FREQUENT = 10  # exact up to 768 distinct values; beyond, counts are off by at most 0.35 % of the rows
_LG_WORDS = 12  # exact up to 3,072 distinct words, in at most some 70 KB
LONGEST_TEXT = 80  # characters of a frequent value that are kept


class DistinctSketch:
    """How many distinct values there are: HyperLogLog."""

    def __init__(self) -> None:
        self._sketch = hll_sketch(_LG_REGISTERS, tgt_hll_type.HLL_8)

    def update(self, values: Iterable[float] | Iterable[str]) -> None:
        """Add values; numbers must all be floats, so that 1 and 1.0 are one value."""
        update = self._sketch.update
        for value in values:
            update(value)

    @property
    def estimate(self) -> float:
        """The number of distinct values, within about 1.6 % (one standard error)."""
        return float(self._sketch.get_estimate())

    def encode(self) -> str:
        """Return the sketch as base64 text."""
        return base64.b64encode(self._sketch.serialize_compact()).decode()

    @classmethod
    def merged(cls, texts: Sequence[str]) -> DistinctSketch:
        """Return the sketch of everything that the sketches in `texts` have seen."""
        result = cls()
        if len(texts) == 1:
            result._sketch = hll_sketch.deserialize(base64.b64decode(texts[0], validate=True))
            return result
        union = hll_union(_LG_REGISTERS)
        for text in texts:
            union.update(hll_sketch.deserialize(base64.b64decode(text, validate=True)))
        result._sketch = union.get_result(tgt_hll_type.HLL_8)
        return result


class FrequentSketch:
    """Which texts are the most frequent: Misra-Gries counters."""

    lg_counters = _LG_FREQUENT

    def __init__(self) -> None:
        self._sketch = frequent_strings_sketch(self.lg_counters)

    def update(self, values: Iterable[str], counts: Iterable[int]) -> None:
        """Add texts, cut to their first `LONGEST_TEXT` characters, with the number of rows that hold each."""
        for value, count in zip(values, counts, strict=True):
            self._sketch.update(value[:LONGEST_TEXT], count)

    def top(self, limit: int) -> list[tuple[str, int]]:
        """Return the texts that are surely among the frequent, and their estimated rows, most frequent first."""
        found = self._sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_POSITIVES)
        rows = [(text, int(estimate)) for text, estimate, _low, _high in found]
        return sorted(rows, key=lambda pair: (-pair[1], pair[0]))[:limit]

    def bounds(self) -> tuple[dict[str, tuple[int, int]], int]:
        """Return the least and the most rows that hold each text still counted, and the most that any other can have.

        Up to 768 distinct texts least and most are the same, and there is no other.
        """
        found = self._sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
        bounds = {text: (int(low), int(high)) for text, _estimate, low, high in found}
        if not bounds:
            return bounds, int(self._sketch.total_weight * self._sketch.epsilon)
        return bounds, max(high - low for low, high in bounds.values())

    def surely(self) -> list[tuple[str, int]]:
        """Return every text that is surely there, and the rows that hold it at least, in the order of the texts."""
        found = self._sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
        return sorted((text, int(low)) for text, _estimate, low, _high in found if low > 0)

    def at_most(self, value: str) -> int:
        """Return the most rows that can hold a text; 0 where it was never seen."""
        return int(self._sketch.get_upper_bound(value[:LONGEST_TEXT]))

    def encode(self) -> str:
        """Return the sketch as base64 text."""
        return base64.b64encode(self._sketch.serialize()).decode()

    @classmethod
    def merged(cls, texts: Sequence[str]) -> Self:
        """Return the sketch of everything that the sketches in `texts` have seen."""
        result = cls()
        for text in texts:
            result._sketch.merge(frequent_strings_sketch.deserialize(base64.b64decode(text, validate=True)))
        return result


class WordSketch(FrequentSketch):
    """Which words stand in the most texts. What a count may be off by is told by `bounds`."""

    lg_counters = _LG_WORDS

    @property
    def total(self) -> int:
        """The sum of all counts: how many different words each text has, over all texts."""
        return int(self._sketch.total_weight)

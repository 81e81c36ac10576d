"""Say what texts are about by the mean of their embeddings: a vector that merges, whatever model made it.

Each text's embedding has length 1, so the cosine of two texts is a product, and the mean of a group says how alike its
texts are: two of them have, on average, the squared length of their mean as their cosine.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.records import Record

Floats = npt.NDArray[np.float64]


class EmbeddingProfile(Record):
    """Some texts of a column: how many, the sum of their embeddings and of these' squared lengths.

    `embedder` is the hash of the model that made them: embeddings of two models have nothing to do with each other.
    `total` is the sum, shape (size,), base64 of little-endian doubles.
    """

    embedder: str
    count: int
    total: str
    squares: float

    @classmethod
    def of(cls, embeddings: Floats, embedder: str) -> EmbeddingProfile:
        """Return the profile of embeddings, shape (n, size), each brought to length 1; those of length 0 are left out.

        Args:
            embeddings: One a text, at least one.
            embedder: The hash of the model that made them.
        """
        lengths = np.linalg.norm(embeddings, axis=1)
        units = embeddings[lengths > 0] / lengths[lengths > 0, None]
        total = units.sum(axis=0, dtype=np.float64)
        return cls(embedder=embedder, count=len(units), total=_encoded(total), squares=float((units**2).sum()))

    @property
    def centroid(self) -> Floats:
        """The mean embedding, shape (size,)."""
        return np.frombuffer(base64.b64decode(self.total, validate=True), "<f8") / max(self.count, 1)

    @property
    def spread(self) -> float:
        """The mean squared distance from the mean: 1 less the cosine that two of the texts have on average."""
        mean = self.centroid
        return max(self.squares / max(self.count, 1) - float(mean @ mean), 0.0)


def merge_embeddings(parts: Sequence[EmbeddingProfile | None]) -> EmbeddingProfile | None:
    """Return the profile of all texts together; None where one part has none, or was made by another model."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts) or len({part.embedder for part in known}) > 1:
        return None
    total = np.sum([np.frombuffer(base64.b64decode(part.total, validate=True), "<f8") for part in known], axis=0)
    return EmbeddingProfile(
        embedder=known[0].embedder,
        count=sum(part.count for part in known),
        total=_encoded(total),
        squares=sum(part.squares for part in known),
    )


def _encoded(total: Floats) -> str:
    return base64.b64encode(total.astype("<f8").tobytes()).decode()

"""Profile what a language model is asked: the questions of conversations, not the answers that stand beside them.

Training rows are prepared conversations, and new rows are the source's: both are read to the same texts, without
system messages, and with personal data redacted in both where it is in one. What is read is bounded, whatever comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.data.embeddings import EmbeddingProfile
from pipelines.data.parquet import open_parquet
from pipelines.data.profiles import ColumnProfile, Profile
from pipelines.data.profiling import profile_table
from pipelines.llm.corpus.batches import bounded
from pipelines.llm.corpus.personal import PersonalData
from pipelines.records import sha256_of
from pipelines.serving.prompts import asked_in
from pipelines.spec.corpus import Corpus

MOST_READ = 20_000  # rows of a partition; looking for personal data in them takes minutes where all have numbers
MOST_EMBEDDED = 1_000  # texts of a partition
_BATCH_ROWS = 1_024
_VERSION = 1  # raise it when the same rows give other texts


class Embedder(Protocol):
    """A model that reads texts."""

    @property
    def sha256(self) -> str:
        """The hash of its files."""
        ...

    def embed(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Return the embeddings of texts, shape (n, size)."""
        ...


@dataclass(frozen=True)
class AskedReading:
    """What is asked in the rows of a source or, where `is_prepared`, in rows that training learns from."""

    corpus: Corpus
    is_prepared: bool
    embedder: Embedder | None = None

    @property
    def column(self) -> str:
        """The name of what is asked: that of the source's column it stands in."""
        return self.corpus.columns[0]

    @property
    def identity(self) -> str:
        """The hash of the corpus's form, of what is redacted, and of the model that reads."""
        embedder = None if self.embedder is None else [self.embedder.sha256, MOST_EMBEDDED]
        said = self.corpus.model_dump(mode="json", exclude={"near_duplicates", "allowed_words", "decontaminate_words"})
        return sha256_of([_VERSION, MOST_READ, said, self.is_prepared, embedder])

    def profile(self, path: Path) -> Profile:
        """Return the profile of what is asked, in up to `MOST_READ` rows spread by chance, the same for the same rows.

        A row in which nothing is asked, or that cannot be read, is a null.

        Raises:
            DataError: If the column is not there, or can hold no conversation.
        """
        asked = [text or None for text in self._texts(path)]
        table = pa.table({self.column: pa.array(asked, pa.large_string())})
        profile = profile_table(table, writing=[self.column])
        if self.embedder is None:
            return profile
        (column,) = profile.columns
        return profile.model_copy(update={"columns": (self._embedded(column, asked),)})

    def _embedded(self, column: ColumnProfile, asked: list[str | None]) -> ColumnProfile:
        """Return a column with the mean embedding of the texts whose hashes are the lowest."""
        texts = sorted((text for text in asked if text is not None), key=lambda text: sha256_of(text.encode()))
        if self.embedder is None or column.text is None or not texts:
            return column
        embedding = EmbeddingProfile.of(self.embedder.embed(texts[:MOST_EMBEDDED]), self.embedder.sha256)
        return column.model_copy(update={"text": column.text.model_copy(update={"embedding": embedding})})

    def _texts(self, path: Path) -> Iterator[str]:
        corpus = Corpus() if self.is_prepared else self.corpus
        redacts = not self.is_prepared and self.corpus.privacy.action == "redact"
        personal = PersonalData(self.corpus.privacy) if redacts else None
        with open_parquet(path) as file:
            chosen, start = _chosen(file.metadata.num_rows), 0
            names = [name for name in corpus.columns[:1] if name in file.schema_arrow.names] or None
            for batch in bounded(file.iter_batches(batch_size=_BATCH_ROWS, columns=names)):
                inside = chosen[(chosen >= start) & (chosen < start + batch.num_rows)] - start
                start += batch.num_rows
                for one in asked_in(batch.take(pa.array(inside)), corpus):
                    text = one.own_text if one.readable else ""
                    yield text if personal is None else personal.redacted(text, personal.find(text))


def _chosen(num_rows: int) -> npt.NDArray[np.int64]:
    if num_rows <= MOST_READ:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(0).choice(num_rows, MOST_READ, replace=False))

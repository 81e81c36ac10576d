"""What one model scores on each item, and a store of it: a model is scored once on the same items.

The pretrained base and the champion come back in every run of a model, mostly with the same items; what was computed
then is read from the store. The name of a scored part is the hash of all it depends on: the model's bytes, the items
with all their text, the settings, and the arithmetic.
"""

from __future__ import annotations

import io
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.parquet import ParquetWriter
from pipelines.llm.evaluation.language_model import ARITHMETIC, LanguageModel
from pipelines.records import sha256_of
from pipelines.store import Store

LOG = logging.getLogger(__name__)

_VERSION = 1  # raise it where the same items would now be scored otherwise


@dataclass(frozen=True)
class Score:
    """What a model scores on one item of one measure.

    A metric is the sum of `over` by the sum of `under` over its items: nats by answer tokens, or hits by ones. Items of
    one `cluster` are not independent of each other and are resampled together. `slice` is a part of the measure that is
    shown apart, such as `suite=piqa`, or empty. `text` is what the model wrote, where it wrote anything.
    """

    measure: str
    item: str
    over: float
    under: float = 1.0
    cluster: str = ""
    slice: str = ""
    text: str | None = None


@dataclass(frozen=True)
class Part:
    """Some items and the way to score them; `identity` is JSON that names everything the scores depend on."""

    name: str
    identity: Any
    score: Callable[[LanguageModel], Iterable[Score]]

    def sha256(self, model_sha256: str) -> str:
        """What the scores of one model are known by."""
        return sha256_of([_VERSION, ARITHMETIC, self.name, model_sha256, self.identity])


SCHEMA = pa.schema(
    [
        ("measure", pa.string()),
        ("item", pa.string()),
        ("over", pa.float64()),
        ("under", pa.float64()),
        ("cluster", pa.string()),
        ("slice", pa.string()),
        ("text", pa.string()),
    ]
)


def score_model(
    store: Store, model: str, model_sha256: str, parts: Sequence[Part], load: Callable[[], LanguageModel]
) -> list[Score]:
    """Return a model's scores on every part, in order; the model is loaded only where a part was never scored.

    Args:
        store: Where scores are kept, under `<model>/item_scores`.
        model: The name of the spec.
        model_sha256: The hash of the weights.
        parts: What to score.
        load: Gives the model; called at most once.

    Raises:
        StoreError: If the store does not answer.
    """
    loaded: LanguageModel | None = None
    found: list[Score] = []
    for part in parts:
        key = f"{model}/item_scores/{part.sha256(model_sha256)}.parquet"
        kept = _read(store, key)
        if kept is None:
            loaded = loaded or load()
            started = time.monotonic()
            kept = list(part.score(loaded))
            _write(store, key, kept)
            LOG.info(
                "model %s, %s: %d scores in %.0f s", model_sha256[:12], part.name, len(kept), time.monotonic() - started
            )
        else:
            LOG.info("model %s, %s: scored before", model_sha256[:12], part.name)
        found += kept
    return found


def _read(store: Store, key: str) -> list[Score] | None:
    if store.stat(key) is None:
        return None
    return [Score(**row) for row in pq.read_table(io.BytesIO(store.read(key))).to_pylist()]


def _write(store: Store, key: str, scores: Sequence[Score]) -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        path = Path(folder) / "scores.parquet"
        with ParquetWriter(path, SCHEMA) as writer:
            writer.write(pa.Table.from_pylist([asdict(score) for score in scores], SCHEMA))
        store.upload(key, path)

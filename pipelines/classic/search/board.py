"""Where the workers of one search meet: claims, results and predictions under the plan's key in the store.

Workers share nothing but the store. A trial belongs to whoever put its claim first; a claim that its owner has not
renewed in time belongs to nobody and may be taken over. Should two fit the same trial all the same, the first result
counts, and a fit gives the same bits anyway.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult
from pipelines.errors import IntegrityError, ObjectChanged, ObjectExists, ObjectMissing
from pipelines.records import canonical_json
from pipelines.store.base import Store
from pipelines.store.verified import put_first, put_first_record, put_same

STALE_SECONDS = 45.0  # a claim that was not renewed for so long belongs to nobody
RENEW_SECONDS = 12.0
ASK_AGAIN_SECONDS = 2.0  # after another worker had the claim


class TrialBoard:
    """The trials of one search, as one worker sees them."""

    def __init__(
        self,
        store: Store,
        search_key: str,
        worker: int = 0,
        stale_seconds: float = STALE_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.prefix = search_key.removesuffix("/")
        self.worker = worker
        self.stale_seconds = stale_seconds
        self.results: dict[TrialKey, TrialResult] = {}
        self._now = now
        self._read: set[str] = set()
        self._mine: dict[TrialKey, float] = {}
        self._refused: dict[TrialKey, float] = {}

    def write_detail(self, detail: SearchDetail) -> None:
        """Put the plan, once. Raises `IntegrityError` when another plan has this key."""
        self._put_once("plan.json", detail.to_bytes())

    def read_detail(self) -> SearchDetail:
        """Return the plan. Raises `ObjectMissing`, `IntegrityError`."""
        try:
            return SearchDetail.model_validate_json(self.store.read(f"{self.prefix}/plan.json"))
        except ValidationError as error:
            raise IntegrityError(
                f"{self.prefix}/plan.json is no plan of this version: {error.error_count()} problems. Nothing was "
                "trained."
            ) from error

    def refresh(self) -> None:
        """Read the results that are new in the store."""
        for info in self.store.list(f"{self.prefix}/results/"):
            if info.key.endswith(".json") and info.key not in self._read:
                self._keep(info.key, TrialResult.model_validate_json(self.store.read(info.key)))

    def claim(self, key: TrialKey) -> bool:
        """Take a trial, if nobody alive has it; True when it is ours."""
        if self._now() - self._refused.get(key, float("-inf")) < min(ASK_AGAIN_SECONDS, self.stale_seconds / 3):
            return False
        name, claim = f"{self.prefix}/claims/{key}.json", self._claim()
        try:
            self.store.put_if_absent(name, claim)
        except ObjectExists:
            if not self._take_over(name, claim):
                self._refused[key] = self._now()
                return False
        self._mine[key] = self._now()
        return True

    def renew(self, keys: Sequence[TrialKey]) -> None:
        """Say that these trials of ours are still being fitted; cheap when it was said a moment ago."""
        for key in keys:
            if self._now() - self._mine.get(key, 0.0) >= min(RENEW_SECONDS, self.stale_seconds / 3):
                self.store.write(f"{self.prefix}/claims/{key}.json", self._claim())
                self._mine[key] = self._now()

    def finish(self, result: TrialResult, predictions: bytes | None) -> TrialResult:
        """Write a trial's result, predictions first; return the result that counts, which is the first one written."""
        key = f"{self.prefix}/results/{result.key}.json"
        if predictions is not None:
            name = f"{self.prefix}/predictions/{result.predictions_sha256}.npy"
            put_same(self.store, name, predictions)
        result = put_first_record(self.store, key, result)
        self._keep(key, result)
        self._mine.pop(result.key, None)
        return result

    def predictions(self, result: TrialResult) -> NDArray[np.float64]:
        """Return a trial's out-of-fold predictions. Raises `IntegrityError` when they are not what was written."""
        key = f"{self.prefix}/predictions/{result.predictions_sha256}.npy"
        data = self.store.read(key)
        found = hashlib.sha256(data).hexdigest()
        if found != result.predictions_sha256:
            raise IntegrityError(
                f"Object {key!r} was altered: its SHA-256 is {found}, expected {result.predictions_sha256}. "
                "It was not used."
            )
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))

    def generation(self, number: int, propose: Callable[[], Sequence[Configuration]]) -> tuple[Configuration, ...]:
        """Return the configurations of a refining generation: what the first worker to get here proposed."""
        key = f"{self.prefix}/generations/{number:04d}.json"
        if self.store.stat(key) is None:
            proposed = canonical_json([configuration.to_dict() for configuration in propose()])
            put_first(self.store, key, proposed)
        return tuple(Configuration.from_dict(value) for value in json.loads(self.store.read(key)))

    def known_generations(self) -> list[tuple[Configuration, ...]]:
        """Return the refining generations that exist, in order."""
        infos = sorted(info.key for info in self.store.list(f"{self.prefix}/generations/"))
        return [tuple(Configuration.from_dict(value) for value in json.loads(self.store.read(key))) for key in infos]

    def _claim(self) -> bytes:
        return canonical_json({"worker": self.worker, "until": self._now() + self.stale_seconds})

    def _take_over(self, name: str, claim: bytes) -> bool:
        info = self.store.stat(name)
        if info is None:
            return False
        try:
            held = json.loads(self.store.read(name))
            # A claim under our own number that this process does not know is from an earlier attempt, which is dead.
            if held["worker"] != self.worker and self._now() < held["until"]:
                return False
            self.store.compare_and_swap(name, claim, info.tag)
        except (ObjectChanged, ObjectMissing):
            return False
        return True

    def _keep(self, key: str, result: TrialResult) -> None:
        self._read.add(key)
        self.results[result.key] = result

    def _put_once(self, name: str, data: bytes) -> None:
        key = f"{self.prefix}/{name}"
        if put_first(self.store, key, data) != data:
            raise IntegrityError(
                f"Object {key!r} in {self.store.root} holds another plan than the one that gave it its name. "
                "Nothing was trained."
            )

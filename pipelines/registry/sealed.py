"""A hash chain of sealed entries in the store: what the ledger and the decisions about retraining are kept in.

Entry N of a model is the object `<model>/<folder>/<N, eight digits>.json`, put only if absent: of any number of writers
exactly one writes it. It holds the canonical JSON of `{"entry": …, "sha256": …}`: each entry names the hash of the one
before it, and its own hash seals the last one, which no successor names yet.

What this shows: any entry altered, taken from the middle, put in another's place or written in another form. What it
cannot show by itself: a last entry taken away whole, or a tail rewritten by somebody who can write to the store and
computes the hashes anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.records import Sealed, canonical_json
from pipelines.store.base import Store
from pipelines.store.verified import put_first

Entry = TypeVar("Entry", bound=Sealed)
READERS = 16


@dataclass(frozen=True)
class SealedChain(Generic[Entry]):
    """One kind of chain: the class of its entries, the folder that they lie in, and how people call the two."""

    entry_type: type[Entry]
    folder: str
    entry_words: str
    place_words: str

    def key(self, model: str, seq: int) -> str:
        """Return the key of an entry."""
        return f"{model}/{self.folder}/{seq:08d}.json"

    def read(self, store: Store, model: str) -> list[Entry]:
        """Return all entries of a model, oldest first, with order, chain, seals and form of each verified.

        Raises:
            IntegrityError: Names the first bad entry, what was expected and what was found.
            StoreError: If the store does not answer.
        """
        return _all_sound(self.walk(store, model))

    def walk(self, store: Store, model: str) -> Iterator[Entry | IntegrityError]:
        """Yield each entry, oldest first, and an `IntegrityError` at the place of each that is not what it should be.

        The chain goes on from what was found, so that one altered entry does not condemn all that come after it.
        """
        expected_previous: str | None = None
        broken = False
        for seq, data in enumerate(self._read_many(store, model, range(1, self.last_seq(store, model) + 1)), start=1):
            try:
                entry = self._parse(model, seq, data)
            except IntegrityError as error:
                yield error
                broken = True
                continue
            yield entry if broken else self._following(entry, expected_previous)
            expected_previous, broken = entry.sha256, False

    def last_seq(self, store: Store, model: str) -> int:
        """Return the number of the last entry, 0 for an empty chain; raises `IntegrityError` for a stranger there."""
        last = 0
        for info in store.list(f"{model}/{self.folder}/"):
            name = info.key.rsplit("/", 1)[1].removesuffix(".json")
            if not name.isdigit() or info.key != self.key(model, int(name)):
                raise IntegrityError(
                    f"{info.key} lies {self.place_words} and is no entry; expected names such as 00000001.json."
                )
            last = max(last, int(name))
        return last

    def head(self, store: Store, model: str) -> Entry | None:
        """Return the last entry, its seal and form verified and nothing before it read; None for an empty chain.

        Raises:
            IntegrityError: If that entry is not what was written.
            StoreError: If the store does not answer.
        """
        last = self.last_seq(store, model)
        return self._parse(model, last, store.read(self.key(model, last))) if last else None

    def since(self, store: Store, model: str, head: Entry | None) -> list[Entry]:
        """Return what was appended after `head` (None: since the beginning), oldest first, verified from there on."""
        found: list[Entry] = []
        while True:
            last = found[-1] if found else head
            seq = last.seq + 1 if last else 1
            try:
                data = store.read(self.key(model, seq))
            except ObjectMissing:
                return found
            entry = self._parse(model, seq, data)
            found += _all_sound([self._following(entry, last.sha256 if last else None)])

    def back(self, store: Store, model: str, head: Entry | None) -> Iterator[Entry]:
        """Yield the entries from `head` back to the first, each with its seal, form and place in the chain verified.

        Raises:
            IntegrityError: At the first one that is not what was written.
            StoreError: If the store does not answer.
        """
        if head is None:
            return
        yield head
        after, num_read = head, READERS
        while after.seq > 1:
            seqs = range(after.seq - 1, max(0, after.seq - 1 - num_read), -1)
            for seq, data in zip(seqs, self._read_many(store, model, seqs), strict=True):
                entry = self._parse(model, seq, data)
                _all_sound([self._following(after, entry.sha256)])
                yield entry
                after = entry
            num_read *= 4  # what is looked for is mostly near the end

    def append(self, store: Store, entry: Entry) -> Entry:
        """Put the entry where it belongs by its number, and return what lies there: it, or the one that was first.

        A write of ours whose answer was lost, and that was tried again beneath us, is known by being the same.

        Raises:
            IntegrityError: If what lies there is not what was written.
            StoreError: If the store does not answer.
        """
        sealed = seal(entry)
        found = put_first(store, self.key(entry.model, entry.seq), sealed)
        return entry if found == sealed else self._parse(entry.model, entry.seq, found)

    def _read_many(self, store: Store, model: str, seqs: Sequence[int]) -> list[bytes | None]:
        """Return the objects' bytes in order, None for one that is gone; many at once: S3 answers each in its time."""

        def read(seq: int) -> bytes | None:
            try:
                return store.read(self.key(model, seq))
            except ObjectMissing:
                return None

        if len(seqs) < 2:  # most often; threads take longer to start than a read takes
            return [read(seq) for seq in seqs]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(read, seqs))

    def _parse(self, model: str, seq: int, data: bytes | None) -> Entry:
        key = self.key(model, seq)
        called = f"{self.entry_words} {key}"
        if data is None:
            raise IntegrityError(f"{called} is missing: later entries exist, so it was taken away.")
        try:
            sealed = json.loads(data)
            entry = self.entry_type.from_dict(sealed["entry"])
            claimed = sealed["sha256"]
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise IntegrityError(f"{called} cannot be read as an entry: {str(error).splitlines()[0]}.") from error
        if claimed != entry.sha256:
            raise IntegrityError(f"{called} was altered: expected hash {claimed}, found {entry.sha256}.")
        if data != seal(entry):
            raise IntegrityError(f"{called} is not in canonical form: its bytes are not those that were written.")
        if (entry.model, entry.seq) != (model, seq):
            raise IntegrityError(
                f"{called} is out of place: expected entry {seq} of {model}, found entry {entry.seq} of {entry.model}."
            )
        return entry

    def _following(self, entry: Entry, expected_previous: str | None) -> Entry | IntegrityError:
        """Return the entry, or what is wrong where it does not name the hash of the entry before it."""
        if entry.previous_sha256 == expected_previous:
            return entry
        return IntegrityError(
            f"{self.entry_words} {self.key(entry.model, entry.seq)} does not follow the entry before it: it names "
            f"{entry.previous_sha256} as that entry's hash, and the hash is {expected_previous}."
        )


def seal(entry: Sealed) -> bytes:
    """Return the bytes under which an entry is stored."""
    return canonical_json({"entry": entry.to_dict(), "sha256": entry.sha256})


def _all_sound(items: Iterable[Entry | IntegrityError]) -> list[Entry]:
    sound: list[Entry] = []
    for item in items:
        if isinstance(item, IntegrityError):
            raise item
        sound.append(item)
    return sound

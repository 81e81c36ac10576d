"""Keep the newest checkpoint in the store too, so that a retry on another machine goes on from it.

Files are sent by a thread of the launching process while the training goes on; the manifest comes last, and with it the
checkpoint is there.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipelines.errors import IntegrityError, ObjectMissing, StoreError, UsageError
from pipelines.llm.checkpoints import MANIFEST, Checkpoint, CheckpointManifest, Kind, name_of, open_checkpoint
from pipelines.llm.checkpoints import remove as remove_local
from pipelines.store.atomic import make_folder
from pipelines.store.base import Store
from pipelines.store.verified import fetch_verified, read_record

LOG = logging.getLogger(__name__)

_FETCHING = ".writing-"  # the name that a sweep knows


class CheckpointSender:
    """Sends checkpoints one after the other; of several that wait, only the newest."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self._waiting: Path | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="checkpoint-sender", daemon=True)

    @contextmanager
    def sending(self) -> Iterator[CheckpointSender]:
        """Send in the background for the length of a `with`; what waits at its end is still sent."""
        self._thread.start()
        try:
            yield self
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify()
            self._thread.join()

    def offer(self, folder: Path) -> None:
        """Have this complete checkpoint sent; returns at once."""
        with self._changed:
            self._waiting = folder
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closing)
                folder, self._waiting = self._waiting, None
            if folder is None:
                return
            try:
                send(self._store, self._prefix, folder)
            except (StoreError, IntegrityError, UsageError, OSError) as error:
                LOG.warning("checkpoint %s is not in the store, only on this machine: %s", folder.name, error)


def send(store: Store, prefix: str, folder: Path) -> None:
    """Put a complete checkpoint and its best weights into the store and remove older ones. Raises `StoreError`."""
    manifest = _read_manifest(folder)
    kept = [folder.name]
    if manifest.progress.best_step is not None:
        best = folder.with_name(name_of("best", manifest.progress.best_step))
        kept.append(best.name)
        _send_one(store, prefix, best, _read_manifest(best))
    _send_one(store, prefix, folder, manifest)
    _remove_others(store, prefix, kept)
    LOG.info("checkpoint %s is in the store: %d bytes", folder.name, manifest.size_bytes)


def fetch_newest(store: Store, prefix: str, identity: str, folder: Path) -> None:
    """Bring the store's newest checkpoint of a training to this machine, where that has none as new.

    Raises:
        StoreError: If the store does not answer.
        IntegrityError: If all of them are damaged and this machine has none: the training must not start anew.
    """
    names, damaged = _names(store, prefix, "step"), list[str]()
    for name in sorted(names, reverse=True):
        if (folder / name).is_dir():
            return
        try:
            manifest = read_record(store, f"{prefix}/{name}/{MANIFEST}", CheckpointManifest)
            if manifest.identity != identity:
                LOG.warning("stored checkpoint %s is passed over: it belongs to another training", name)
                continue
            if manifest.progress.best_step is not None:
                _fetch_one(store, prefix, name_of("best", manifest.progress.best_step), folder)
            _fetch_one(store, prefix, name, folder)
        except (IntegrityError, ObjectMissing) as error:
            LOG.warning("stored checkpoint %s is passed over: %s", name, error)
            damaged.append(name)
            continue
        LOG.info("checkpoint %s was fetched from the store", name)
        return
    if damaged and not any(folder.glob("step-*")):
        raise IntegrityError(
            f"None of the checkpoints under {prefix} in {store.root} can be used: {', '.join(damaged)} are damaged, "
            "and this machine has none. Nothing was trained; delete them to start from step 0."
        )


def remove_all(store: Store, prefix: str) -> None:
    """Remove a training's checkpoints from the store, manifests first. Raises `StoreError`."""
    _remove_others(store, prefix, [])


def _send_one(store: Store, prefix: str, folder: Path, manifest: CheckpointManifest) -> None:
    key = f"{prefix}/{folder.name}/{MANIFEST}"
    data = (folder / MANIFEST).read_bytes()
    if store.stat(key) is not None and store.read(key) == data:
        return
    for file in manifest.files:
        store.upload(f"{prefix}/{folder.name}/{file.path}", folder / file.path)
    store.write(key, data)


def _fetch_one(store: Store, prefix: str, name: str, folder: Path) -> Checkpoint:
    make_folder(folder)
    final, aside = folder / name, folder / f"{_FETCHING}{name}"
    key = f"{prefix}/{name}/{MANIFEST}"
    manifest = read_record(store, key, CheckpointManifest)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for file in manifest.files:
        target = aside / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with fetch_verified(store, f"{prefix}/{name}/{file.path}", file.content_sha256) as path:
            shutil.copyfile(path, target)
    (aside / MANIFEST).write_bytes(store.read(key))
    if final.exists():
        remove_local(final)
    aside.rename(final)
    return open_checkpoint(final)


def _remove_others(store: Store, prefix: str, kept: list[str]) -> None:
    gone = [info.key for info in store.list(f"{prefix}/") if _name_in(info.key, prefix) not in kept]
    for key in sorted(gone, key=lambda key: PurePosixPath(key).name != MANIFEST):  # without it, it is none
        store.delete(key)


def _names(store: Store, prefix: str, kind: Kind) -> set[str]:
    keys = (info.key for info in store.list(f"{prefix}/{kind}-"))
    return {_name_in(key, prefix) for key in keys if PurePosixPath(key).name == MANIFEST}


def _name_in(key: str, prefix: str) -> str:
    return key.removeprefix(f"{prefix}/").partition("/")[0]


def _read_manifest(folder: Path) -> CheckpointManifest:
    return CheckpointManifest.model_validate_json((folder / MANIFEST).read_bytes())

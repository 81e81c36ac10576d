"""Checkpoints that can be trusted: written aside, every file hashed, and only then given their name by one rename.

A folder of checkpoints holds `step-<number>` (all that is needed to go on after that step) and `best-<number>` (the
weights that did best so far, named by their step). Each has a manifest with the hash of every file in it. What has no
manifest, or is not what its manifest says, or belongs to another training, is passed over with a word. Whether a
training starts anew is therefore never a matter of one small file that is missing.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pipelines.errors import IntegrityError
from pipelines.records import Record
from pipelines.store.atomic import flush_folder, make_folder
from pipelines.store.verified import file_sha256

LOG = logging.getLogger(__name__)

MANIFEST = "checkpoint.json"
_ASIDE, _OLD = ".writing-", ".removing-"

Kind = Literal["step", "best"]


class CheckpointFile(Record):
    """One file of a checkpoint; `path` is relative to its folder."""

    path: str
    content_sha256: str
    size_bytes: int


class Progress(Record):
    """Where the loop stood after `step`: what it needs to go on besides weights and optimizer.

    Losses are in nats a token: of validation answers, and of general text where there is some. `best_step` is the step
    of the best weights so far, as `pipelines.llm.frontier` chooses them.
    """

    step: int
    base_loss: float | None = None
    base_general_loss: float | None = None
    best_loss: float | None = None
    best_general_loss: float | None = None
    best_step: int | None = None
    bad_looks: int = 0
    seconds: float = 0.0
    tokens: int = 0


class CheckpointManifest(Record):
    """What a checkpoint is and holds. `identity` is that of the training it belongs to."""

    kind: Kind
    identity: str
    world_size: int
    zero_stage: int
    progress: Progress
    files: tuple[CheckpointFile, ...]

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on this machine's disk."""

    folder: Path
    manifest: CheckpointManifest

    @property
    def step(self) -> int:
        """The step after which it was written."""
        return self.manifest.progress.step


def name_of(kind: Kind, step: int) -> str:
    """Return the name of a checkpoint's folder; names sort by step."""
    return f"{kind}-{step:08d}"


def begin(folder: Path, kind: Kind, step: int) -> Path:
    """Return a new empty folder to write a checkpoint's files to; what a killed writer left there is removed."""
    make_folder(folder)
    aside = folder / f"{_ASIDE}{name_of(kind, step)}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    return aside


def complete(
    aside: Path, kind: Kind, identity: str, world_size: int, zero_stage: int, progress: Progress
) -> Checkpoint:
    """Hash every file, write the manifest, make all of it outlast a power cut, and give the folder its name."""
    manifest = CheckpointManifest(
        kind=kind,
        identity=identity,
        world_size=world_size,
        zero_stage=zero_stage,
        progress=progress,
        files=tuple(_describe(aside, path) for path in _files(aside)),
    )
    with (aside / MANIFEST).open("wb") as file:
        file.write(manifest.to_bytes())
        file.flush()
        os.fsync(file.fileno())
    for folder in [path for path in aside.rglob("*") if path.is_dir()] + [aside]:
        flush_folder(folder)
    final = aside.parent / name_of(kind, progress.step)
    if final.exists():  # a damaged one, or the same again
        remove(final)
    aside.rename(final)
    flush_folder(final.parent)
    return Checkpoint(final, manifest)


def newest(folder: Path, kind: Kind, identity: str) -> Checkpoint | None:
    """Return the newest whole checkpoint of a training, or None where it has not written any yet.

    Raises:
        IntegrityError: If the training has written some, and none of them is whole: it must not start anew in silence.
    """
    damaged = list[str]()
    for found in _listed(folder, kind):
        try:
            checkpoint = open_checkpoint(found)
        except IntegrityError as error:
            damaged.append(found.name)
            LOG.warning("checkpoint %s is passed over: %s", found.name, error)
            continue
        if checkpoint.manifest.identity == identity:
            return checkpoint
        LOG.warning("checkpoint %s is passed over: it belongs to another training", found.name)
    if damaged:
        raise IntegrityError(
            f"None of the checkpoints in {folder} can be used: {', '.join(damaged)} are damaged, and there is no other "
            "of this training. Nothing was trained; remove them to start from step 0."
        )
    return None


def open_checkpoint(folder: Path) -> Checkpoint:
    """Return a checkpoint whose every byte was compared with its hash. Raises `IntegrityError`: what is wrong."""
    try:
        manifest = CheckpointManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise IntegrityError(f"it has no {MANIFEST}") from error
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"its {MANIFEST} cannot be read: {error}") from error
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            raise IntegrityError(f"it lacks {file.path}")
        if path.stat().st_size != file.size_bytes:
            raise IntegrityError(f"{file.path} has {path.stat().st_size} bytes, expected {file.size_bytes}")
        if file_sha256(path) != file.content_sha256:
            raise IntegrityError(f"{file.path} is not what was written: its SHA-256 differs")
    return Checkpoint(folder, manifest)


def prune(folder: Path, budget_bytes: int, needed_bytes: int = 0) -> None:
    """Remove the oldest until `needed_bytes` more fit the budget; the newest, and its best weights, stay."""
    states = _listed(folder, "step")
    kept_best = {_best_of(state) for state in states[:1]} | {path.name for path in _listed(folder, "best")[:1]}
    removable = [
        *reversed(states[1:]),
        *(path for path in reversed(_listed(folder, "best")) if path.name not in kept_best),
    ]
    removable.sort(key=lambda path: path.name.rpartition("-")[2])
    sizes = {path: _size(path) for path in [*states, *_listed(folder, "best")]}
    for path in removable:
        if sum(sizes.values()) + needed_bytes <= budget_bytes:
            return
        LOG.info("checkpoint %s is removed: the budget is %d bytes", path.name, budget_bytes)
        remove(path)
        del sizes[path]
    if sum(sizes.values()) + needed_bytes > budget_bytes:
        LOG.warning(
            "checkpoints take %d bytes, over the budget of %d: the newest one stays all the same",
            sum(sizes.values()) + needed_bytes,
            budget_bytes,
        )


def sweep(folder: Path) -> None:
    """Remove what killed writers left half done. Only for who holds the folder's lock."""
    for path in folder.glob(".*-*"):
        if path.is_dir() and path.name.startswith((_ASIDE, _OLD)):
            LOG.warning("%s was never finished: it is passed over and removed", path.name)
            shutil.rmtree(path, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a checkpoint so that no reader sees a part of it."""
    gone = folder.with_name(f"{_OLD}{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _listed(folder: Path, kind: Kind) -> list[Path]:
    """Return the folders that bear a checkpoint's name, newest first."""
    return sorted((path for path in folder.glob(f"{kind}-*") if path.is_dir()), reverse=True)


def _best_of(state: Path) -> str:
    try:
        step = CheckpointManifest.model_validate_json((state / MANIFEST).read_bytes()).progress.best_step
    except (OSError, ValidationError):
        return ""
    return "" if step is None else name_of("best", step)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _describe(folder: Path, path: Path) -> CheckpointFile:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return CheckpointFile(
        path=path.relative_to(folder).as_posix(), content_sha256=file_sha256(path), size_bytes=path.stat().st_size
    )

"""Where DeepSpeed keeps what it compiles, and the locks that killed builders leave there.

Nothing that Tandem trains with is compiled: the optimizer is torch's own, and DeepSpeed's shared-memory operator, which
takes 70 seconds, serves its inference alone. Should a version or a setting of DeepSpeed compile something all the same,
torch waits for a file named `lock` to go, for ever and without a word: so locks are looked at before every start.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from pipelines.errors import TrainingError
from pipelines.store.atomic import make_folder

LOG = logging.getLogger(__name__)

_LOCK = "lock"  # torch.utils.cpp_extension's, in each operator's folder; its builder holds it open
_LOOK_SECONDS = 0.5
_WORD_SECONDS = 10.0


def extensions_folder(home: Path) -> Path:
    """Return the folder of compiled operators, private to the environment and kept."""
    return home / "torch_extensions"


def prepare_extensions(home: Path, patience_seconds: float = 900.0) -> None:
    """Make the folder, remove locks whose builder is gone, and wait for those whose builder lives.

    Raises:
        TrainingError: If a builder is not done within `patience_seconds`.
    """
    folder = extensions_folder(home)
    make_folder(folder)
    give_up, next_word = time.monotonic() + patience_seconds, 0.0
    for lock in sorted(folder.rglob(_LOCK)):
        while lock.exists() and (builder := _holder(lock)) is not None:
            if time.monotonic() > give_up:
                raise TrainingError(
                    f"Process {builder} has been building {lock.parent.name} in {folder} for {patience_seconds:g} s. "
                    "Nothing was trained; end it, or wait and run again."
                )
            if time.monotonic() > next_word:
                LOG.info("process %d is building DeepSpeed's operator %s; waiting", builder, lock.parent.name)
                next_word = time.monotonic() + _WORD_SECONDS
            time.sleep(_LOOK_SECONDS)
        if lock.exists():
            LOG.warning("the lock of %s is removed: its builder is gone", lock.parent.name)
            lock.unlink(missing_ok=True)


def _holder(lock: Path) -> int | None:
    """Return the process that holds the lock file open, or None where there is none on this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(lock.samefile(link) for link in (process / "fd").iterdir() if link.name.isdigit()):
                return int(process.name)
        except OSError:  # it has ended by now, or is another user's
            continue
    return None

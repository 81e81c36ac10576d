"""End with the launcher: nobody else would end this process, or use what it makes.

Whoever is asked to end, or sees its launcher gone, finishes the step, writes a checkpoint and leaves. What hangs in a
library cannot do that, and is ended after a time of grace.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from types import FrameType

_PR_SET_PDEATHSIG = 1
ORPHAN_GRACE_SECONDS = 120.0  # for the step that runs, and its checkpoint
WATCH_VARIABLE = "LAUNCHER_PID"  # the launcher's process id, and a promise that standard input ends with it


class Lifeline:
    """Tells whether this process has been asked to end."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launcher, which asks in its own time
        launcher = os.environ.get(WATCH_VARIABLE)
        if launcher is not None:
            threading.Thread(target=self._watch, daemon=True).start()
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != int(launcher):  # it died before it was watched
                    self._asked.set()

    @property
    def is_cut(self) -> bool:
        """Whether to end after this step."""
        return self._asked.is_set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()

    def _watch(self) -> None:
        while os.read(0, 1):
            pass
        self._asked.set()
        time.sleep(ORPHAN_GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

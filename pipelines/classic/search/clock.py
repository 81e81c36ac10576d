"""The clock that stops a fit from within: iterative estimators ask it between two iterations."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """A moment on this process's monotonic clock after which no further iteration starts; None never comes."""

    deadline: float | None = None

    @classmethod
    def after(cls, seconds: float | None) -> Clock:
        """Return a clock that rings in `seconds` from now, or never."""
        return cls(None if seconds is None else time.monotonic() + seconds)

    def has_rung(self) -> bool:
        """Tell whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

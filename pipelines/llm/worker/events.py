"""Tell the launcher what happens: one JSON object a line, on the standard output that nobody else may write to."""

from __future__ import annotations

import json
import math
import os
from typing import Any


class Events:
    """The way out of one process."""

    def __init__(self, rank: int) -> None:
        """Take standard output for events alone; from now on what libraries print there goes to standard error."""
        self._rank = rank
        self._file = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def tell(self, event: str, **values: Any) -> None:
        """Write one event; numbers that JSON does not know become null. A launcher that is gone hears nothing."""
        line = json.dumps({"event": event, "rank": self._rank, **{key: _plain(value) for key, value in values.items()}})
        try:
            self._file.write(line + "\n")
        except BrokenPipeError:
            return


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

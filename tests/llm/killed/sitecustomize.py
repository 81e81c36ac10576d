"""Kill a training's first process when it tells of a step: there and nowhere later, however busy the machine is.

Python imports this at its start where the folder stands in PYTHONPATH; see `tests.llm.training.killed_at`.
"""

from __future__ import annotations

import os
import signal
from typing import Any


def _kill_at(step: int) -> None:
    from pipelines.llm.worker.events import Events

    tell = Events.tell

    def tell_and_die(self: Events, event: str, **values: Any) -> None:
        tell(self, event, **values)
        if (event, values.get("step")) == ("step", step):
            os.kill(os.getpid(), signal.SIGKILL)

    Events.tell = tell_and_die  # type: ignore[method-assign]


if "KILLED_AT" in os.environ:
    _kill_at(int(os.environ["KILLED_AT"]))

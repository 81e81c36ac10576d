"""A seekable stream over ranges of a remote object."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

READ_AHEAD_BYTES = 4 * 1024 * 1024


class RangeReader(io.RawIOBase):
    """Raw reads of an object of `size_bytes`; `get_range(start, stop)` gives the bytes of a half-open range.

    Wrap it in `io.BufferedReader`: each raw read is one request.
    """

    def __init__(self, get_range: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._get_range = get_range
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be moved in."""
        return True

    def tell(self) -> int:
        """Return the position in bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, without a request, and return the new position. Raises ValueError before the start."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"Cannot seek to byte {start + offset}, before the start of the object.")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the position on, and return how many bytes there were."""
        stop = min(self._position + len(buffer), self._size_bytes)
        if stop <= self._position:
            return 0
        data = self._get_range(self._position, stop)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """Return all that is left, by one request; the inherited one would ask for 8 KiB at a time."""
        if self._position >= self._size_bytes:
            return b""
        data = self._get_range(self._position, self._size_bytes)
        self._position += len(data)
        return data

"""The file-like objects that a WSGI application is given: its request's body, its log, and a wrapper of its files."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_logger = logging.getLogger("tricorn.error")

BLOCK = 65_536
"""Bytes that are read ahead of a body, and at once of a file."""


class Body(io.RawIOBase):
    """The bytes of a body as they come; reading waits for the next ones. To be read through a buffer.

    Args:
        first: What has come already.
        pull: Waits for the next bytes and returns them; empty at the end.
    """

    def __init__(self, first: bytes, pull: Callable[[], bytes]) -> None:
        super().__init__()
        self._part = memoryview(first)
        self._pull = pull

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes; return how many, 0 at the end.

        Raises:
            ClientDisconnected: The client has gone before the body was whole.
        """
        if not self._part:
            self._part = memoryview(self._pull())
        count = min(len(buffer), len(self._part))
        buffer[:count] = self._part[:count]
        self._part = self._part[count:]
        return count


def body_stream(first: bytes, pull: Callable[[], bytes] | None) -> io.BufferedIOBase:
    """Return ``wsgi.input``: of what is there already, without ``pull``, or of what is still to come."""
    if pull is None:
        return io.BytesIO(first)
    return io.BufferedReader(Body(first, pull), BLOCK)


class ErrorLog(io.TextIOBase):
    """``wsgi.errors``: what is written to it is logged as an error, as it stands; it keeps nothing."""

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Log a text; of a line end alone nothing."""
        stripped = text.rstrip()
        if stripped:
            _logger.error("%s", stripped)
        return len(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Log several texts as one."""
        self.write("".join(lines))


class FileWrapper:
    """``wsgi.file_wrapper``: a file in blocks.

    Args:
        file: An object with ``read(size)``; its ``close()``, if it has one, is called when the answer has ended.
        block: Bytes of a block.
    """

    def __init__(self, file: Any, block: int = BLOCK) -> None:
        self._file = file
        self._block = block
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data: bytes = self._file.read(self._block)
        if not data:
            raise StopIteration
        return data

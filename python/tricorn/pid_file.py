"""The file that tells others the number of the server's process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tricorn.errors import StartupError


@contextmanager
def held(name: str | None) -> Iterator[None]:
    """Have the number of this process in a file as long as the context lasts.

    It appears as a whole, and is only removed if it is still that of this process.

    Args:
        name: Its path; ``None`` for no file.

    Raises:
        StartupError: It names a process that lives, or cannot be written.
    """
    if name is None:
        yield
        return
    path = Path(name)
    _refuse_a_live_one(path)
    _write(path)
    try:
        yield
    finally:
        if _number(path) == os.getpid():
            with suppress(OSError):
                path.unlink()


def _refuse_a_live_one(path: Path) -> None:
    number = _number(path)
    if number in (None, os.getpid()):  # in a container every server may be process 1
        return
    if _lives(number or 0):
        raise StartupError(
            f"the process {number} that {path} names is running",
            "stop it first, remove the file if it is no server, or give another path with --pid-file",
        )


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _number(path: Path) -> int | None:
    """Return the number in a file; ``None`` where there is none that a process can have."""
    try:
        with path.open("rb") as file:
            text = file.read(32).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and 0 < int(text) < 2**31 else None


def _write(path: Path) -> None:
    """Put the file in its place at once, so that nobody reads half a number."""
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            os.write(descriptor, b"%d\n" % os.getpid())
            os.fchmod(descriptor, 0o644)
            os.replace(draft, path)  # noqa: PTH105  # both names are in one directory
        except BaseException:
            Path(draft).unlink()
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StartupError(
            f"the file {path} cannot be written: {error.strerror}",
            "give a path in a directory that you may write to with --pid-file",
        ) from None

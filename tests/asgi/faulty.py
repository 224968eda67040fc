"""Faults of the machine that a test has a server meet, by a library that is loaded before the C library."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("preload.c")
LAYOUT = struct.Struct("=qqiII")
FOR_EVER = 0xFFFF_FFFF


@cache
def library() -> Path | None:
    """Return the library, compiled for this process; ``None`` where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    made = Path(tempfile.mkdtemp(prefix=f"tricorn-preload-{os.getpid()}-")) / "preload.so"
    subprocess.run(
        [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"], check=True
    )
    return made


class Faults:
    """What is wrong with the machine of one server and its workers; nothing at first.

    Args:
        directory: Where the memory is that is shared with them.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "faults"
        path.write_bytes(bytes(LAYOUT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), LAYOUT.size)
        before = os.environ.get("LD_PRELOAD", "").split()  # a sanitizer has to come first
        self.environment = {
            "LD_PRELOAD": " ".join([*before, str(library())]),
            "TRICORN_TEST_FAULTS": str(path),
        }
        """What the server's environment needs."""

    def _put(self, at: int, form: str, value: int) -> None:
        struct.pack_into(f"={form}", self._memory, at, value)

    def clocks(self, *, wall: int = 0, steady: int = 0) -> None:
        """Set how many seconds the wall clock, and the one that only goes forward, are ahead of the machine's."""
        self._put(0, "q", wall)
        self._put(8, "q", steady)

    def accepting(self, error: int, times: int = FOR_EVER) -> None:
        """Have so many attempts to accept a connection fail with an errno."""
        self._put(16, "i", error)
        self._put(24, "I", 0)
        self._put(20, "I", times)

    def mended(self) -> int:
        """Have connections be accepted again; returns how many attempts have failed."""
        self._put(20, "I", 0)
        failed: int = LAYOUT.unpack(self._memory[:])[4]
        return failed

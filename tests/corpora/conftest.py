"""The corpora, fetched once, and servers that show what they make of requests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "asgi"))

from harness import Server  # noqa: E402
from play import Address  # noqa: E402


class Mirror(Server):
    """The mirror application on a Unix socket, which tells a client when its bytes have been read."""

    def __init__(self, library: str, directory: Path, *options: str) -> None:
        self.app = "mirror:app"
        self.library = library
        self.allows_alarms = False
        self._error = directory / "error.log"
        self._access = directory / "access.log"
        self.address = Address(path=str(directory / "socket"))
        usual = ("--async-library", library, "--app-dir", str(HERE / "apps"), "--no-date-header")
        self._start([self.app, *usual, "--uds", self.address.path, *options], {})


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of the corpora, which are fetched when they are missing."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "corpora")], check=True)
    return ROOT / "build" / "corpora"


@pytest.fixture(scope="session")
def mirror() -> Iterator[Callable[[str], Address]]:
    """``mirror(library)``: where the mirror application is served by that library."""
    servers: dict[str, Mirror] = {}
    with tempfile.TemporaryDirectory(prefix="mirror") as directory:

        def serve(library: str) -> Address:
            if library not in servers:
                own = Path(directory) / library
                own.mkdir()
                servers[library] = Mirror(library, own)
                servers[library].wait_ready()
            return servers[library].address

        yield serve
        try:
            for server in servers.values():
                assert server.process.poll() is None, f"the server ended by itself\n{server.log()}"
                assert server.stop() == 0, server.log()
        finally:
            for server in servers.values():
                server.kill()

"""The corpora, fetched once, and servers that show what they make of requests."""

from __future__ import annotations

import socket
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
    """The mirror application on a Unix socket, which tells a client when its bytes have been read, or on a port."""

    def __init__(self, library: str, directory: Path, *, on_port: bool) -> None:
        self.app = "mirror:app"
        self.library = library
        self.allows_alarms = False
        self._error = directory / "error.log"
        self._access = directory / "access.log"
        usual = (self.app, "--async-library", library, "--app-dir", str(HERE / "apps"), "--no-date-header")
        with socket.socket(socket.AF_INET if on_port else socket.AF_UNIX) as listener:
            path = str(directory / "socket")
            listener.bind(("127.0.0.1", 0) if on_port else path)
            listener.listen(1024)
            self.address = Address(port=listener.getsockname()[1]) if on_port else Address(path=path)
            # The corpora's upgrades are no handshakes, and are read as requests.
            self._start([*usual, "--ws", "none", "--fd", str(listener.fileno())], {}, [listener.fileno()])


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of the corpora, which are fetched when they are missing."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "corpora")], check=True)
    return ROOT / "build" / "corpora"


@pytest.fixture(scope="session")
def mirror() -> Iterator[Callable[..., Address]]:
    """``mirror(library)``: where the mirror application is served by that library; ``on_port=True`` for TCP."""
    servers: dict[tuple[str, bool], Mirror] = {}
    with tempfile.TemporaryDirectory(prefix="mirror") as directory:

        def serve(library: str, *, on_port: bool = False) -> Address:
            key = (library, on_port)
            if key not in servers:
                own = Path(directory) / f"{library}{on_port:d}"
                own.mkdir()
                servers[key] = Mirror(library, own, on_port=on_port)
                servers[key].wait_ready()
            return servers[key].address

        yield serve
        try:
            for server in servers.values():
                assert server.process.poll() is None, f"the server ended by itself\n{server.log()}"
                assert server.stop() == 0, server.log()
        finally:
            for server in servers.values():
                server.kill()

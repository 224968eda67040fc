"""The command as a user gives it: its own sockets, its own environment, its end."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness import APPS, TIMEOUT, Client, Server


class Command(Server):
    """A server started with exactly these arguments; it is reached by the URL in its log.

    Args:
        directory: Where the logs are written.
        arguments: The arguments of the command.
        environment: More environment variables.
        inherited: Descriptors that the server inherits.
    """

    is_warm = False

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        inherited: tuple[int, ...] = (),
    ) -> None:
        self.allows_alarms = False
        self._error = directory / "error.log"
        self._access = directory / "access.log"
        self._start(list(arguments), environment or {}, inherited)

    def urls(self) -> list[str]:
        """Return the URLs that the log names."""
        lines = re.findall(r"Tricorn running on (.+) \(", self.log())
        return [url for line in lines for url in line.split(", ")]

    def connect(self) -> Client:
        """Open a connection to the first URL."""
        self.wait_ready()
        return open_url(self.urls()[0])


def open_url(url: str) -> Client:
    """Connect to a URL as the log shows it."""
    if url.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT)
        connection.connect(url.removeprefix("unix:"))
        return Client(connection)
    match = re.fullmatch(r"https?://\[?([^\]]+?)\]?:(\d+)", url)
    assert match, url
    return Client(socket.create_connection((match[1], int(match[2])), timeout=TIMEOUT))


def fails(
    *arguments: str, code: int, environment: dict[str, str] | None = None, inherited: tuple[int, ...] = ()
) -> list[str]:
    """Run a command that cannot serve; returns the lines that it says, after checking its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "tricorn", *arguments],
        cwd=APPS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        pass_fds=inherited,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == code, done.stderr
    return done.stderr.splitlines()


def without(module: str, directory: Path) -> dict[str, str]:
    """Return an environment in which a module looks as if it was not installed."""
    text = f"import sys\nsys.modules[{module!r}] = None\n"
    (directory / "sitecustomize.py").write_text(text)
    path = [str(directory), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, path))}


Run = Callable[..., Command]
"""What the fixture ``run`` is: it starts the command."""

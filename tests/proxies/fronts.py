"""haproxy and nginx in front of servers, all of them in processes of the test's own, on the loopback interface."""

from __future__ import annotations

import csv
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEOUT = 15.0
CLIENT = "127.0.0.9"
"""The address of clients, which nobody trusts."""

PROXY_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

HAPROXY = """
global
    maxconn 200
    stats socket unix@stats mode 600
defaults
    mode http
    timeout check 5s
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    retries 3
    option redispatch
"""

NGINX = """
{user}
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log info;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{rest}
}}
"""


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class Front:
    """A proxy with a configuration that listens on ``port``.

    Args:
        program: ``haproxy`` or ``nginx``.
        directory: Where its files are.
        rest: The configuration behind what all have in common.
        port: Where it listens, by that configuration.
        host: The address that it listens at.
    """

    def __init__(self, program: str, directory: Path, rest: str, port: int, host: str = "127.0.0.1") -> None:
        path = shutil.which(program, path=PROXY_PATH)
        assert path is not None, f"{program} is missing: tools/setup test installs it"
        self.port = port
        self._log = directory / "front.log"
        config = directory / f"{program}.conf"
        if program == "haproxy":
            config.write_text(HAPROXY + rest)
            command = [path, "-db", "-C", str(directory), "-f", str(config)]
        else:
            user = "user root;" if os.geteuid() == 0 else ""  # else nobody, who may not enter the directory
            config.write_text(NGINX.format(directory=directory, rest=rest, user=user))
            command = [path, "-p", str(directory), "-c", str(config), "-e", str(directory / "nginx.log")]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: listens(port, host) or self.process.poll() is not None, f"{program} listens")
        assert self.process.poll() is None, self._log.read_text()

    def ask(self, path: str = "/", fields: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Send a request and return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, TIMEOUT, (CLIENT, 0))
        try:
            connection.request("GET", path, headers={"Host": "public.example", **(fields or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def scope(self, path: str = "/", fields: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the scope that an application had of a request."""
        status, body = self.ask(path, fields)
        assert status == 200, (status, body)
        scope: dict[str, Any] = json.loads(body)
        return scope

    def servers(self) -> dict[str, dict[str, str]]:
        """Return what haproxy counts for each server, by its name."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(f"/proc/{self.process.pid}/cwd/stats")  # its own path may be too long
            connection.sendall(b"show stat\n")
            text = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["svname"] not in {"FRONTEND", "BACKEND"}}

    def is_up(self, name: str) -> bool:
        """Tell whether haproxy sends requests to a server."""
        return self.servers()[name]["status"].startswith("UP")

    def log(self) -> str:
        """Return what it has said; of nginx, what it has logged of its upstreams."""
        return "".join(path.read_text() for path in self._log.parent.glob("*.log"))

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(TIMEOUT)


def host_of(scope: dict[str, Any]) -> str:
    """Return the value of Host."""
    (value,) = [value["bytes"] for name, value in scope["headers"] if name["bytes"] == "host"]
    return str(value)

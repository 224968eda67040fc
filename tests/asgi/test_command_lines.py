"""Command lines that uvicorn's users have, with ``tricorn`` in the place of ``uvicorn`` and nothing else changed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command import open_url
from harness import TIMEOUT, Answer, Closed
from test_command import free_port

from tricorn import uvicorn_options
from tricorn.options import OPTIONS

MAIN = """
import json, os

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    assert scope["type"] == "http"
    facts = {"path": scope["path"], "root_path": scope["root_path"], "client": scope["client"]}
    facts |= {"scheme": scope["scheme"], "secret": os.environ.get("SECRET")}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(facts).encode()})

def create_app():
    return app
"""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {"()": "uvicorn.logging.DefaultFormatter", "fmt": "%(levelprefix)s %(message)s"},
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s',
        },
    },
    "handlers": {
        "default": {"formatter": "default", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
        "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}


@dataclass
class Line:
    """A command line.

    Attributes:
        text: As it stands in a file, with ``{port}``, ``{fd}`` and ``{dir}`` for what differs from machine to machine.
        target: What is asked for.
        fields: Fields of the request.
        facts: What the application sees.
        env: The environment.
        uds: The Unix socket that is listened on.
        answer: Fields of the answer; ``None`` for those that are not to be there.
    """

    text: str
    target: str = "/"
    fields: dict[str, str] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    uds: str = ""
    answer: dict[str, str | None] = field(default_factory=dict)


FORWARDED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}

LINES = {
    "the first of the documentation": Line("uvicorn main:app --port {port}"),
    "development": Line("uvicorn main:app --reload --port {port}"),
    "development, with a directory": Line(
        "uvicorn app.main:app --port {port} --reload --reload-dir app --reload-include '*.html'"
        " --reload-exclude '*.tmp' --reload-delay 0.5"
    ),
    "Dockerfile": Line('CMD ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "{port}"]'),
    "Dockerfile behind a proxy": Line(
        'CMD ["uvicorn", "app.main:app", "--proxy-headers", "--forwarded-allow-ips", "*", "--port", "{port}"]',
        fields=FORWARDED,
        facts={"scheme": "https", "client": ["203.0.113.7", 0]},
    ),
    "Dockerfile in the form of a shell": Line(
        "CMD uvicorn main:app --host 0.0.0.0 --port $PORT", env={"PORT": "{port}"}
    ),
    "a platform's process file": Line(
        "web: uvicorn main:app --host=0.0.0.0 --port=${{PORT:-5000}}", env={"PORT": "{port}"}
    ),
    "Dockerfile with workers": Line(
        'CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "{port}", "--workers", "4"]'
    ),
    "workers of the environment": Line(
        "uvicorn main:app --host 0.0.0.0 --port {port}", env={"WEB_CONCURRENCY": "2"}
    ),
    "unit of systemd behind nginx": Line(
        "ExecStart=/usr/bin/env uvicorn main:app --uds {dir}/site.sock --proxy-headers --forwarded-allow-ips='*'",
        uds="{dir}/site.sock",
        fields=FORWARDED,
        facts={"scheme": "https"},
    ),
    "unit of systemd with a path": Line(
        "ExecStart=/usr/bin/env uvicorn --root-path /api main:app --port {port} --no-access-log --log-level warning",
        target="/items",
        facts={"root_path": "/api", "path": "/api/items"},
    ),
    "supervisor's descriptor": Line("command=uvicorn --fd {fd} main:app"),
    "factory": Line("uvicorn --factory main:create_app --port {port}"),
    "another directory": Line("uvicorn --app-dir app main:app --port {port}"),
    "as a module": Line("python -m uvicorn main:app --port {port} --lifespan off"),
    "implementations": Line("uvicorn main:app --port {port} --loop uvloop --http httptools --ws websockets"),
    "plain implementations": Line(
        "uvicorn main:app --port {port} --loop asyncio --http h11 --ws wsproto --interface asgi3"
    ),
    "limits": Line(
        "uvicorn main:app --port {port} --limit-concurrency 100 --backlog 4096 --timeout-keep-alive 75"
        " --timeout-graceful-shutdown 30"
    ),
    "recycling": Line(
        "uvicorn main:app --port {port} --limit-max-requests 10000 --limit-max-requests-jitter 500"
    ),
    "fields": Line(
        "uvicorn main:app --port {port} --no-server-header --no-date-header --header X-Frame-Options:DENY"
        " --header 'Server: site'",
        answer={"x-frame-options": "DENY", "server": "site", "date": None},
    ),
    "HTTP/2": Line("uvicorn main:app --port {port} --http2"),
    "WebSockets": Line(
        "uvicorn main:app --port {port} --ws websockets-sansio --ws-max-size 1048576 --ws-max-queue 64"
        " --ws-ping-interval 30 --ws-ping-timeout 10 --ws-per-message-deflate false"
    ),
    "environment of the application": Line(
        "uvicorn main:app --env-file .env --port {port}", facts={"secret": "of the file"}
    ),
    "logging": Line("uvicorn main:app --log-config logging.json --port {port} --no-use-colors"),
    "the options' own variables": Line(
        "uvicorn",
        env={"UVICORN_APP": "main:app", "UVICORN_PORT": "{port}", "UVICORN_ROOT_PATH": "/v1"},
        facts={"root_path": "/v1"},
    ),
    "what few know": Line(
        "uvicorn main:app --port {port} --reset-contextvars --h11-max-incomplete-event-size 32768 --use-colors"
        " --timeout-worker-healthcheck 10 --access-log --log-level debug"
    ),
}


def names(line: Line) -> set[str]:
    """Return the options of a command line, and of its environment."""
    found = {name.removeprefix("no-") for name in re.findall(r"--([a-z0-9-]+)", line.text)}
    return found | {
        name for name in uvicorn_options.NAMES if set(uvicorn_options.variables([name])) & line.env.keys()
    }


KNOWN = {name for option in OPTIONS for name in (option.name, *option.aliases)}
THERE = {name: line for name, line in LINES.items() if names(line) <= {*KNOWN, "app"}}


def arguments(text: str) -> list[str]:
    """Return what is executed for a line as it stands in a Dockerfile, a unit, a process file or a shell."""
    text = re.sub(r"^(CMD |ExecStart=|command=|web: )", "", text)
    if text.startswith("["):
        return [str(word) for word in json.loads(text)]
    return ["sh", "-c", f"exec {text}"]


class Started:
    """The server of a line.

    Args:
        line: The line.
        directory: Where it is started.
        name: The command in the place of uvicorn.
    """

    def __init__(self, line: Line, directory: Path, name: str) -> None:
        (directory / "app").mkdir()
        for path in ("main.py", "app/main.py", "app/__init__.py"):
            (directory / path).write_text(MAIN)
        (directory / ".env").write_text("SECRET='of the file'\n")
        (directory / "logging.json").write_text(json.dumps(LOGGING))
        self._log = directory / "log"
        self.port = free_port()
        self.line = line
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            if "{fd}" in line.text:
                self.port = listener.getsockname()[1]
            places = {"port": str(self.port), "fd": str(listener.fileno()), "dir": str(directory)}
            self.url = f"http://127.0.0.1:{self.port}"
            if line.uds:
                self.url = f"unix:{line.uds.format_map(places)}"
            text = re.sub(r"\{(\w+)\}", lambda match: places.get(match[1], match[0]), line.text)
            text = re.sub(r"\buvicorn\b", name, text.replace("{{", "{").replace("}}", "}"))
            env = {key: value.format_map(places) for key, value in line.env.items()}
            path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
            with self._log.open("wb") as log:
                self.process = subprocess.Popen(
                    arguments(text),
                    cwd=directory,
                    env={**os.environ, "PATH": path, **env},
                    pass_fds=[listener.fileno()],
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                )

    def log(self) -> str:
        """Return what it has said."""
        return self._log.read_text(errors="replace")

    def ask(self) -> Answer:
        """Send the line's request, as soon as there is a server."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            try:
                with open_url(self.url) as client:
                    fields = [*self.line.fields.items(), ("Connection", "close")]
                    return client.ask(target=self.line.target, fields=fields)
            except (OSError, Closed):
                time.sleep(0.05)

    def stop(self) -> int:
        """Ask for the end; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(line, name)``: the server of a line."""
    started: list[Started] = []

    def begin(line: Line, name: str = "tricorn") -> Started:
        started.append(Started(line, tmp_path, name))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.mark.parametrize("line", THERE.values(), ids=THERE)
def test_line(start: Start, line: Line) -> None:
    """It serves what it says, and ends well."""
    server = start(line)
    answer = server.ask()
    assert answer.status == 200, server.log()
    facts = json.loads(answer.body)
    assert {name: facts[name] for name in line.facts} == line.facts
    assert {name: answer.get(name) for name in line.answer} == line.answer
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()


def test_lines_are_enough() -> None:
    """There are twenty and more, and between them every option of uvicorn that is not about TLS."""
    assert len(LINES) >= 20
    used = {name for line in LINES.values() for name in names(line)}
    left = {name for name in uvicorn_options.NAMES - used if not name.startswith("ssl-")}
    assert left == set()

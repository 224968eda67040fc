"""The servers: one entry for each, with the packages of its environment and the command that starts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

KEEP_ALIVE = 75
"""Seconds that connections may be idle, where a server can be told: no server's habit of closing early helps it."""

OWN = "tricorn"
"""The environment that `make build` made; every other one is made by the benchmark."""

LIMIT = "limit"
"""The same server with a handler in C and no Python, in `bench/limit`."""

FASTPYSGI = """
import sys, fastpysgi, uvloop
fastpysgi.server.loop = uvloop.new_event_loop()
fastpysgi.run(fastpysgi.import_from_string(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), fastpysgi.LL_ERROR)
"""
"""Its command line cannot choose the loop."""


@dataclass(frozen=True)
class Server:
    """How a server is installed and started with one worker and no access log.

    `command` may name `{bin}` (its environment's programs), `{app}` and `{port}`.
    """

    name: str
    environment: str
    library: str
    command: tuple[str, ...]
    packages: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    """The distributions whose versions belong in the report."""
    settings: tuple[tuple[str, str], ...] = ()
    """Variables of the environment: what the application is to do another way than with other servers."""

    def arguments(self, programs: Path, app: str, port: int) -> list[str]:
        """Return the command for one run."""
        return [part.format(bin=programs, app=app, port=port) for part in self.command]


LOOP = (("BENCH_BROADCAST", "loop"),)
"""Has the application send a broadcast to one socket after another although there is a call for all."""


def tricorn(loop: str, library: str) -> Server:
    """Tricorn under one async library."""
    options = (
        *("--async-library", loop, "--no-access-log", "--log-level", "warning", "--port", "{port}"),
        *("--timeout-keep-alive", str(KEEP_ALIVE)),
    )
    command = ("{bin}/python", "-m", "tricorn", "{app}", *options)
    return Server(f"tricorn-{loop}", OWN, library, command, shown=("tricorn", loop))


SERVERS = {
    server.name: server
    for server in (
        tricorn("asyncio", "asyncio"),
        tricorn("uvloop", "asyncio"),
        tricorn("trio", "trio"),
        tricorn("curio", "curio"),
        replace(tricorn("uvloop", "asyncio"), name="tricorn-uvloop-loop", settings=LOOP),
        Server("limit", LIMIT, "none", ("{bin}/bench_limit", "{port}")),
        Server(
            name="uvicorn",
            environment="uvicorn",
            library="asyncio",
            packages=("uvicorn[standard]",),
            shown=("uvicorn", "uvloop", "httptools", "websockets"),
            command=(
                *("{bin}/python", "-m", "uvicorn", "{app}", "--port", "{port}", "--loop", "uvloop"),
                *("--http", "httptools", "--no-access-log", "--log-level", "warning"),
                *("--timeout-keep-alive", str(KEEP_ALIVE)),
            ),
        ),
        Server(
            name="hypercorn-trio",
            environment="hypercorn",
            library="trio",
            packages=("hypercorn[trio]",),
            shown=("hypercorn", "trio", "h11", "wsproto"),
            command=(
                *("{bin}/python", "-m", "hypercorn", "--worker-class", "trio", "--workers", "1"),
                *("--log-level", "warning", "--keep-alive", str(KEEP_ALIVE)),
                *("--bind", "127.0.0.1:{port}", "{app}"),
            ),
        ),
        Server(
            name="peregrine",
            environment="peregrine",
            library="asyncio",
            packages=("peregrine-server", "uvloop"),
            shown=("peregrine-server", "uvloop"),
            command=(
                *("{bin}/peregrine", "--port", "{port}", "--workers", "1", "--protocol", "asgi"),
                "--ws-compress",
                *("--no-auto-venv", "--python-path", ".", "--log-level", "warning"),
                *("--keep-alive", str(KEEP_ALIVE * 1000), "--max-connections", "20000", "{app}"),
            ),
        ),
        Server(
            name="fastpysgi",
            environment="fastpysgi",
            library="asyncio",
            packages=("fastpysgi", "uvloop"),
            shown=("fastpysgi", "uvloop"),
            command=("{bin}/python", "-c", FASTPYSGI, "{app}", "{port}"),
        ),
        Server(
            name="granian",
            environment="granian",
            library="asyncio",
            packages=("granian[uvloop]",),
            shown=("granian", "uvloop"),
            command=(
                *("{bin}/granian", "--interface", "asgi", "--loop", "uvloop", "--workers", "1"),
                *(
                    "--no-access-log",
                    "--log-level",
                    "warning",
                    "--backlog",
                    "4096",
                    "--backpressure",
                    "20000",
                ),
                *("--port", "{port}", "{app}"),
            ),
        ),
        Server(
            name="pyvoy-trio",
            environment="pyvoy",
            library="trio",
            packages=("pyvoy", "trio"),
            shown=("pyvoy", "trio"),
            command=(
                *("{bin}/pyvoy", "--loop", "trio", "--worker-threads", "1"),
                *("--log-level", "error", "--port", "{port}", "{app}"),
            ),
        ),
    )
}

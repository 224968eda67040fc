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

SYSTEM = "system"
"""A program of the system's packages."""

CREDENTIALS = ("{tls}/certificate.pem", "{tls}/key.pem")

FASTPYSGI = """
import sys, fastpysgi, uvloop
fastpysgi.server.loop = uvloop.new_event_loop()
fastpysgi.run(fastpysgi.import_from_string(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), fastpysgi.LL_ERROR)
"""
"""Its command line cannot choose the loop."""


NGINX = """
daemon off; master_process off; pid {tls}/nginx.pid; events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_timeout 75; keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {tls}/certificate.pem; ssl_certificate_key {tls}/key.pem;
        location / {{ return 200 "Hello, world!"; }}
    }}
}}
"""

NGINX_START = 'printf "%s" "$1" > "$0/nginx.conf" && exec "$2/nginx" -e stderr -p "$0" -c "$0/nginx.conf"'
"""Its settings must be in a file."""


@dataclass(frozen=True)
class Spoken:
    """What a server is to speak: TLS with what is in a folder, HTTP/2; HTTP/1.1 in clear text else. And as how many."""

    tls: Path | None = None
    http2: bool = False
    pair: bool = False
    """Whether it is to serve with two workers."""


@dataclass(frozen=True)
class Server:
    """How a server is installed and started with one worker and no access log.

    `command` may name `{bin}` (its environment's programs), `{app}` and `{port}`; `tls` names `{tls}`, a folder with
    a certificate and its key.
    """

    name: str
    environment: str
    library: str
    command: tuple[str, ...]
    packages: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    """The distributions whose versions belong in the report."""
    tls: tuple[str, ...] = ()
    """What has it speak TLS."""
    http2: tuple[str, ...] = ()
    """What has it speak HTTP/2 in clear text."""
    pair: tuple[str, ...] = ()
    """What has it serve with two workers; the last of two options counts."""
    settings: tuple[tuple[str, str], ...] = ()
    """Variables of the environment: what the application is to do another way than with other servers."""

    def arguments(self, programs: Path, app: str, port: int, spoken: Spoken) -> list[str]:
        """Return the command for one run."""
        parts = (
            *self.command,
            *(self.tls if spoken.tls else ()),
            *(self.http2 if spoken.http2 else ()),
            *(self.pair if spoken.pair else ()),
        )
        return [part.format(bin=programs, app=app, port=port, tls=spoken.tls) for part in parts]


def with_credentials(certificate: str, key: str) -> tuple[str, ...]:
    """Return options that name the certificate and its key."""
    return (certificate, CREDENTIALS[0], key, CREDENTIALS[1])


PAIR = ("--workers", "2")

LOOP = (("BENCH_BROADCAST", "loop"),)
"""Has the application send a broadcast to one socket after another although there is a call for all."""


def tricorn(loop: str, library: str) -> Server:
    """Tricorn under one async library."""
    options = (
        *("--async-library", loop, "--no-access-log", "--log-level", "warning", "--port", "{port}"),
        *("--timeout-keep-alive", str(KEEP_ALIVE)),
    )
    command = ("{bin}/python", "-m", "tricorn", "{app}", *options)
    return Server(
        f"tricorn-{loop}",
        OWN,
        library,
        command,
        shown=("tricorn", loop),
        tls=with_credentials("--ssl-certfile", "--ssl-keyfile"),
        http2=("--http2",),
        pair=PAIR,
    )


def hypercorn(name: str, environment: str, library: str, loop: str, *parts: str) -> Server:
    """hypercorn with one class of workers; `parts` are further distributions that belong in the report."""
    return Server(
        name,
        environment,
        library,
        packages=(f"hypercorn[{loop}]",),
        shown=("hypercorn", loop, *parts),
        command=(
            *("{bin}/python", "-m", "hypercorn", "--worker-class", loop, "--workers", "1"),
            *("--log-level", "warning", "--keep-alive", str(KEEP_ALIVE)),
            *("--config", "python:bench.hypercorn_settings"),
            *("--bind", "127.0.0.1:{port}", "{app}"),
        ),
        tls=with_credentials("--certfile", "--keyfile"),
        pair=PAIR,
    )


SERVERS = {
    server.name: server
    for server in (
        tricorn("asyncio", "asyncio"),
        tricorn("uvloop", "asyncio"),
        tricorn("trio", "trio"),
        tricorn("curio", "curio"),
        replace(tricorn("uvloop", "asyncio"), name="tricorn-uvloop-loop", settings=LOOP),
        Server("limit", LIMIT, "none", ("{bin}/bench_limit", "{port}"), http2=("http2",)),
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
            tls=with_credentials("--ssl-certfile", "--ssl-keyfile"),
            pair=PAIR,
        ),
        hypercorn("hypercorn-trio", "hypercorn", "trio", "trio", "h11", "wsproto"),
        hypercorn("hypercorn", "hypercorn-uvloop", "asyncio", "uvloop", "h2"),
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
            pair=PAIR,
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
                *("--no-access-log", "--log-level", "warning", "--backlog", "4096"),
                *("--backpressure", "20000", "--port", "{port}", "{app}"),
            ),
            tls=with_credentials("--ssl-certificate", "--ssl-keyfile"),
            http2=("--http", "2"),
            pair=PAIR,
        ),
        Server(
            name="gunicorn",
            environment="gunicorn",
            library="asyncio",
            packages=("gunicorn[fast]", "uvloop"),
            shown=("gunicorn", "gunicorn_h1c", "uvloop"),
            command=(
                *("{bin}/python", "-m", "gunicorn", "--worker-class", "asgi", "--workers", "1"),
                *("--asgi-loop", "uvloop", "--http-parser", "fast", "--log-level", "warning"),
                *("--keep-alive", str(KEEP_ALIVE), "--worker-connections", "20000"),
                *("--bind", "127.0.0.1:{port}", "{app}"),
            ),
            tls=with_credentials("--certfile", "--keyfile"),
            pair=PAIR,
        ),
        Server(
            name="daphne",
            environment="daphne",
            library="asyncio",
            packages=("daphne",),
            shown=("daphne", "twisted"),
            command=(
                *("{bin}/python", "-m", "daphne", "--verbosity", "0", "--bind", "127.0.0.1"),
                *("--port", "{port}", "{app}"),
            ),
        ),
        Server(
            name="h2corn",
            environment="h2corn",
            library="asyncio",
            packages=("h2corn", "uvloop"),
            shown=("h2corn", "uvloop"),
            command=(
                *("{bin}/h2corn", "--loop", "uvloop", "--workers", "1", "--no-access-log"),
                *("--timeout-keep-alive", str(KEEP_ALIVE), "--max-request-body-size", "0"),
                *("--bind", "127.0.0.1:{port}", "{app}"),
            ),
            tls=with_credentials("--certfile", "--keyfile"),
            pair=PAIR,
        ),
        Server(
            name="saltare",
            environment="saltare",
            library="asyncio",
            packages=("saltare",),
            shown=("saltare",),
            command=(
                *("{bin}/saltare", "--port", "{port}", "--keep-alive-timeout", str(KEEP_ALIVE)),
                *("--max-keepalive-requests", "1000000000", "--max-request-body", "1000000000"),
                *("--listen-backlog", "4096", "{app}"),
            ),
            pair=PAIR,
        ),
        Server(
            name="nginx",
            environment=SYSTEM,
            library="none",
            command=("sh", "-c", NGINX_START, "{tls}", NGINX, "{bin}"),
            shown=("nginx",),
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

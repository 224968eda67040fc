"""The command: where it listens, what it logs, how it is told of its options, and how it fails."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command import Run, fails, open_url, without
from harness import APPS, TIMEOUT, Serve, until

APP = "wire:app"
HERE = ("--app-dir", str(APPS))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_port_0_takes_a_free_one_and_the_log_names_it(run: Run, library: str) -> None:
    server = run(APP, *HERE, "--port", "0", "--async-library", library)
    assert server.ask(target="/hello").body == b"Hello, world!"
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", server.urls()[0])
    line = next(line for line in server.log().splitlines() if "running on" in line)
    assert f"({library}" in line and "C core" in line
    assert server.stop() == 0


def test_loop_is_another_name_of_the_library(run: Run, library: str) -> None:
    server = run(APP, *HERE, "--port", "0", "--loop", library)
    assert server.ask(target="/hello").status == 200
    assert f"({library}" in server.log()


def test_options_from_the_environment(run: Run, library: str) -> None:
    port = free_port()
    environment = {
        "TRICORN_APP": APP,
        "TRICORN_APP_DIR": str(APPS),
        "TRICORN_PORT": str(port),
        "TRICORN_ASYNC_LIBRARY": library,
        "TRICORN_ACCESS_LOG": "0",
        "TRICORN_DATE_HEADER": "0",
        "TRICORN_HEADER": "X-One:1\nX-Two:2",
    }
    server = run(environment=environment)
    answer = server.ask(target="/hello")
    assert server.urls() == [f"http://127.0.0.1:{port}"] and f"({library}" in server.log()
    assert answer.get("date") is None and (answer.get("x-one"), answer.get("x-two")) == ("1", "2")
    assert server.stop() == 0 and server.access() == ""


def test_command_line_wins_over_the_environment(run: Run) -> None:
    server = run(APP, *HERE, "--port", "0", environment={"TRICORN_PORT": "1", "TRICORN_APP": "no:such"})
    assert server.ask(target="/hello").status == 200


@pytest.mark.parametrize("host", ["::1", "localhost", "127.0.0.1"])
def test_hosts(run: Run, library: str, host: str) -> None:
    server = run("statements:app", *HERE, "--host", host, "--port", "0", "--async-library", library)
    server.wait_ready()
    assert server.urls()
    for url in server.urls():
        with open_url(url) as client:
            family = client.socket.family
            scope = client.ask(target="/scope").json()
            assert scope["client"] == list(client.socket.getsockname()[:2])
            assert scope["server"] == list(client.socket.getpeername()[:2])
        assert (family == socket.AF_INET6) == ("[::1]" in url)


@pytest.mark.parametrize("option", [("--host", "::", "--port", "0"), ("--bind", "[::]:0"), ("-b", ":0")])
def test_every_address_is_of_both_families(run: Run, option: tuple[str, ...]) -> None:
    server = run("statements:app", *HERE, *option)
    server.wait_ready()
    port = int(server.urls()[0].rpartition(":")[2])
    for host in ("127.0.0.1", "::1"):
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        with open_url(url) as client:
            assert client.ask(target="/scope").json()["client"][0] == host


def test_several_addresses(run: Run, library: str, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        fd = listener.fileno()
        binds = ("-b", "127.0.0.1:0", "--bind", f"unix:{path}", "--bind", f"fd://{fd}", "--uds-mode", "600")
        server = run(APP, *HERE, *binds, "--async-library", library, inherited=(fd,))
        server.wait_ready()
    assert len(server.urls()) == 3
    for url in server.urls():
        with open_url(url) as client:
            assert client.ask(target="/hello").status == 200
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.stop() == 0
    assert not path.exists()


def test_an_address_that_is_not_to_be_had_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    (line,) = fails(APP, "-b", f"unix:{path}", "-b", "192.0.2.1:80", code=3)
    assert "192.0.2.1:80" in line and not path.exists()


LOOPS = """
import asyncio
import uvloop

class Mine(asyncio.SelectorEventLoop):
    pass

def make():
    return Mine()

def nothing():
    return None

async def app(scope, receive, send):
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": type(asyncio.get_running_loop()).__name__.encode()})
"""


@pytest.mark.parametrize(
    ("factory", "name"),
    [("loops:make", b"Mine"), ("loops:Mine", b"Mine"), ("uvloop:new_event_loop", b"Loop")],
)
def test_factory_of_the_loop(run: Run, tmp_path: Path, factory: str, name: bytes) -> None:
    (tmp_path / "loops.py").write_text(LOOPS)
    options = ("--app-dir", str(tmp_path), "--port", "0", "--lifespan", "off", "--loop", factory)
    server = run("loops:app", *options)
    assert server.ask().body == name
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("factory", "problem"),
    [
        ("loops:missing", "cannot be imported"),
        ("no_such_module:make", "cannot be imported"),
        ("loops:LOOPS", "cannot be imported"),
        ("loops:asyncio", "cannot be called"),
        ("loops:nothing", "gave None; a loop of asyncio's is wanted"),
    ],
)
def test_what_makes_no_loop_is_one_line(tmp_path: Path, factory: str, problem: str) -> None:
    (tmp_path / "loops.py").write_text(LOOPS)
    (line,) = fails("loops:app", "--app-dir", str(tmp_path), "--port", "0", "--loop", factory, code=3)
    assert problem in line and ";" in line


def test_unix_socket(run: Run, library: str, tmp_path: Path) -> None:
    """It has the mode asked for, replaces a stale one, and is removed at the end; H9: the scope has its path."""
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    options = ("--uds", str(path), "--uds-mode", "600", "--async-library", library)
    server = run("statements:app", *HERE, *options)
    scope = server.ask(target="/scope").json()
    assert server.urls() == [f"unix:{path}"]
    assert scope["server"] == [str(path), None]
    assert scope["client"] is None or scope["client"][1] in (None, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.stop() == 0
    assert not path.exists()


def test_unix_socket_is_for_everybody_by_default(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    run(APP, *HERE, "--uds", str(path)).wait_ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_unix_socket_of_a_running_server_is_not_taken(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    first = run(APP, *HERE, "--uds", str(path))
    first.wait_ready()
    (line,) = fails(APP, "--uds", str(path), code=3)
    assert "in use" in line
    assert first.ask(target="/hello").status == 200


def test_inherited_descriptor(run: Run, library: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        fd = listener.fileno()
        server = run(APP, *HERE, "--fd", str(fd), "--async-library", library, inherited=(fd,))
        server.wait_ready()
    with open_url(f"http://127.0.0.1:{port}") as client:
        assert client.ask(target="/hello").status == 200
    assert str(port) in server.urls()[0]


def test_root_path(run: Run, library: str) -> None:
    server = run("statements:app", *HERE, "--port", "0", "--root-path", "/api", "--async-library", library)
    scope = server.ask(target="/a").json()
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/a")


def test_factory(run: Run, library: str) -> None:
    server = run("statements:factory", *HERE, "--factory", "--port", "0", "--async-library", library)
    assert server.ask("POST", "/echo", b"made").body == b"made"


def test_access_log_has_a_line_for_each_request(run: Run, library: str) -> None:
    server = run(APP, *HERE, "--port", "0", "--async-library", library)
    with server.connect() as client:
        host, port = client.socket.getsockname()
        client.ask(target="/hello?a=%20b")
        client.ask("POST", "/nowhere", b"body")
        client.ask("HEAD", "/number?n=1&ms=5")
        client.send(b"GET /hello HTTP/1.0\r\n\r\n")
        client.answer()
    assert server.stop() == 0
    assert server.access().splitlines() == [
        f'INFO:     {host}:{port} - "GET /hello?a=%20b HTTP/1.1" 200 OK',
        f'INFO:     {host}:{port} - "POST /nowhere HTTP/1.1" 404 Not Found',
        f'INFO:     {host}:{port} - "HEAD /number?n=1&ms=5 HTTP/1.1" 200 OK',
        f'INFO:     {host}:{port} - "GET /hello HTTP/1.0" 200 OK',
    ]


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ("/raise_early", "500 Internal Server Error"),
        ("/return_early?ms=5", "500 Internal Server Error"),
        ("/raise_after_start", "500 Internal Server Error"),
        ("/raise_in_body", "200 OK"),
        ("/return_in_body", "200 OK"),
        ("/raise_after_end", "200 OK"),
    ],
)
def test_access_log_has_one_line_for_a_failure(shared: Serve, library: str, page: str, status: str) -> None:
    """It tells the status that the client has got."""
    server = shared("statements:app", library)
    line = f'"GET {page} HTTP/1.1" '
    before = server.access().count(line)
    server.ask(target=page)
    server.ask(target="/echo")
    lines = [text for text in server.access().splitlines() if line in text]
    assert len(lines) == before + 1 and lines[-1].endswith(line + status)


@pytest.mark.parametrize("target", ["/%0d%0aINFO:", "/%1b[31m", "/a%22b"])
def test_access_log_cannot_be_forged(run: Run, target: str) -> None:
    server = run(APP, *HERE, "--port", "0")
    server.ask(target=target)
    assert server.stop() == 0
    (line,) = server.access().splitlines()
    assert f'"GET {target} HTTP/1.1" 404' in line


def test_no_access_log(run: Run, library: str) -> None:
    server = run(APP, *HERE, "--port", "0", "--no-access-log", "--async-library", library)
    assert server.ask(target="/hello").status == 200
    assert server.stop() == 0
    assert server.access() == ""


def test_log_level(run: Run) -> None:
    server = run(APP, *HERE, "--port", (port := str(free_port())), "--log-level", "error")
    connected = []

    def connect() -> bool:
        try:
            connected.append(open_url(f"http://127.0.0.1:{port}"))
        except ConnectionRefusedError:
            return False
        return True

    until(connect, "the server listens")
    with connected[0] as client:
        assert client.ask(target="/hello").status == 200
    assert server.stop() == 0
    assert server.log() == "" and server.access() == ""


def test_interrupt_ends_it_well(run: Run, library: str) -> None:
    server = run(APP, *HERE, "--port", "0", "--async-library", library)
    server.wait_ready()
    assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in server.log()


def test_missing_module_is_one_line() -> None:
    (line,) = fails("wyre:app", code=3)
    assert line.startswith("ERROR:") and "wyre" in line and "wire" in line


def test_wrong_attribute_is_one_line() -> None:
    (line,) = fails("wire:ap", code=3)
    assert line.startswith("ERROR:") and "'ap'" in line and "app" in line.partition(";")[2]


def test_what_is_no_application_is_one_line() -> None:
    (line,) = fails("wire:notes", code=3)
    assert "list" in line and ";" in line


def test_name_without_attribute_is_a_wrong_use() -> None:
    (line,) = fails("wire", code=2)
    assert "module:attribute" in line


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--port", "70000"), "65535"),
        (("--port", "many"), "port"),
        (("--async-library", "twisted"), "trio"),
        (("--prot", "1"), "--port"),
        (("--uds", "a", "--fd", "1"), "--fd"),
        (("--header", "no colon"), "Name:Value"),
        (("--header", "a: b\r\nc: d"), "--header"),
    ],
)
def test_wrong_option_is_one_line(arguments: tuple[str, ...], word: str) -> None:
    (line,) = fails(APP, *arguments, code=2)
    assert line.startswith("ERROR:") and word in line and ";" in line


def test_busy_port_is_one_line(library: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        (line,) = fails(APP, "--port", str(port), "--async-library", library, code=3)
    assert f"127.0.0.1:{port}" in line and "in use" in line and "--port" in line.partition(";")[2]


def test_unknown_host_is_one_line() -> None:
    (line,) = fails(APP, "--host", "no-such-host.invalid", code=3)
    assert "no-such-host.invalid" in line and "--host" in line.partition(";")[2]


def test_address_of_another_machine_is_one_line() -> None:
    (line,) = fails(APP, "--host", "192.0.2.1", code=3)
    assert "192.0.2.1" in line and "--host" in line.partition(";")[2]


def test_descriptor_that_is_no_socket_is_one_line() -> None:
    (line,) = fails(APP, "--fd", "0", code=3)
    assert "descriptor 0" in line and "--fd" in line.partition(";")[2]


def test_file_in_the_place_of_the_socket_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("text")
    (line,) = fails(APP, "--uds", str(path), code=3)
    assert str(path) in line and "remove it" in line
    assert path.read_text() == "text"


def test_directory_of_the_socket_that_is_missing(tmp_path: Path) -> None:
    (line,) = fails(APP, "--uds", str(tmp_path / "no" / "socket"), code=3)
    assert "create the directory" in line


@pytest.mark.parametrize("missing", ["uvloop", "trio", "curio"])
def test_library_that_is_not_installed_is_one_line(missing: str, tmp_path: Path) -> None:
    environment = without(missing, tmp_path)
    (line,) = fails(APP, "--async-library", missing, code=3, environment=environment)
    assert f"'{missing}' is not installed" in line and f"pip install tricorn[{missing}]" in line


@pytest.mark.parametrize(
    ("option", "name", "missing"),
    [
        ("--http", "h11", "h11"),
        ("--http", "httptools", "httptools"),
        ("--ws", "wsproto", "wsproto"),
        ("--ws", "websockets", "websockets"),
        ("--ws", "websockets-sansio", "websockets"),
    ],
)
def test_reader_that_is_not_installed_is_one_line(
    option: str, name: str, missing: str, tmp_path: Path
) -> None:
    environment = without(missing, tmp_path)
    (line,) = fails(APP, option, name, code=3, environment=environment)
    assert f"{missing!r} is not installed" in line and f"pip install tricorn[{missing}]" in line
    assert line.endswith(f"with {option} tricorn")


@pytest.mark.parametrize("missing", ["uvloop", "trio", "curio"])
def test_other_libraries_need_not_be_installed(run: Run, missing: str, tmp_path: Path) -> None:
    server = run(APP, *HERE, "--port", "0", environment=without(missing, tmp_path))
    assert server.ask(target="/hello").status == 200


def test_application_that_fails_on_import_shows_where() -> None:
    lines = fails("broken:app", code=3)
    assert lines[-1].startswith("ERROR:") and "broken" in lines[-1]
    assert any("Traceback" in line for line in lines) and any("ValueError" in line for line in lines)
    assert not any("importlib" in line for line in lines), "frames that are not the application's"
    assert lines.count("Traceback (most recent call last):") == 1


def test_an_applications_own_logging_does_not_silence_the_server(run: Run, tmp_path: Path) -> None:
    """dictConfig() switches existing loggers off unless it is told not to."""
    lines = [
        "import logging.config",
        "logging.config.dictConfig({'version': 1})",
        "async def app(*_):",
        "    raise ValueError('mine')",
    ]
    (tmp_path / "silencing.py").write_text("\n".join(lines) + "\n")
    server = run("silencing:app", "--app-dir", str(tmp_path), "--port", "0", "--lifespan", "off")
    assert server.ask(target="/").status == 500
    assert "ValueError: mine" in server.log()
    assert server.stop() == 0


def test_pid_file(run: Run, tmp_path: Path) -> None:
    """It is there as long as the server runs, and a second server is told so in a line."""
    path = tmp_path / "server.pid"
    server = run(APP, *HERE, "--port", "0", "--pid-file", str(path))
    server.wait_ready()
    assert path.read_text() == f"{server.process.pid}\n"
    (line,) = fails(APP, "--port", "0", "--pid-file", str(path), code=3)
    assert f"the process {server.process.pid} that {path} names is running" in line
    assert server.stop() == 0
    assert not path.exists()


def test_pid_file_of_a_server_that_was_killed(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    first = run(APP, *HERE, "--port", "0", "--pid-file", str(path))
    first.wait_ready()
    first.kill()
    second = run(APP, *HERE, "--port", "0", "--pid-file", str(path))
    second.wait_ready()
    assert path.read_text() == f"{second.process.pid}\n"


def test_config_file(run: Run, library: str, tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    lines = [
        f'app = "{APP}"',
        f'app-dir = "{APPS}"',
        "port = 0",
        f'loop = "{library}"',
        'header = ["X-One: 1"]',
    ]
    path.write_text("\n".join(lines))
    server = run("--config", str(path))
    assert server.ask(target="/hello").get("x-one") == "1"
    assert f"({library}" in server.log()
    assert server.stop() == 0


def test_start_says_what_runs(run: Run, library: str) -> None:
    """In at most five lines: what, which process, how to stop it, where, and on which library."""
    server = run(APP, *HERE, "--port", "0", "--async-library", library, "--lifespan", "off", "--http", "h11")
    server.wait_ready()
    lines = server.log().splitlines()
    assert len(lines) == 5
    for number, text in enumerate((APP, "h11", str(server.process.pid), "CTRL+C", f"({library}")):
        assert text in lines[number]


def check(*arguments: str, directory: Path, code: int) -> str:
    """Check a configuration; returns what is said on the output that the outcome belongs to."""
    done = subprocess.run(
        [sys.executable, "-m", "tricorn", "--check-config", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def test_check_config(library: str) -> None:
    """It imports the application and what is to serve it, and listens nowhere."""
    line = check(APP, "--async-library", library, "--port", "1", directory=APPS, code=0)
    assert (
        line.startswith("The configuration is good: wire:app ") and library in line and "127.0.0.1:1" in line
    )


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("wire:nothing",), 3, "'nothing'"),
        (("wire",), 2, "module:attribute"),
        ((APP, "--http", "no_such:Parser"), 3, "no_such"),
        ((APP, "--ws", "no_such:Frames"), 3, "no_such"),
        ((APP, "--loop", "no_such:loop"), 3, "no_such"),
        ((APP, "--config", "no_such.toml"), 2, "no_such.toml"),
    ],
)
def test_check_config_finds(arguments: tuple[str, ...], code: int, problem: str) -> None:
    assert problem in check(*arguments, directory=APPS, code=code)

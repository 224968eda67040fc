"""The access log: what its lines say, that none is lost, and that none gets in the way."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from harness import APPS, TIMEOUT, Client, Closed, Serve, Server, until
from websocket_client import Peer

APP = "logged:app"
CLIENTS = 8

LINE = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s %(L)s %({x-request-id}i)s %({content-type}o)s'


def lines_of(server: Server, count: int) -> list[str]:
    """Return the lines of the access log once there are so many."""
    until(lambda: len(server.access().splitlines()) >= count, "the lines")
    lines = server.access().splitlines()
    assert len(lines) == count, lines
    return lines


def records_of(server: Server, count: int) -> list[dict[str, Any]]:
    """The same, where each is a value in JSON."""
    return [json.loads(line) for line in lines_of(server, count)]


def logs_json(own: Serve, library: str, *options: str) -> Server:
    """Start a server that logs JSON."""
    return own(APP, library, "--access-log-format", "json", *options)


def test_default_line(own: Serve, library: str) -> None:
    """As uvicorn's, with what could forge a line made harmless."""
    server = own(APP, library)
    server.ask(target='/plain?a=%20"b')
    (line,) = lines_of(server, 1)
    assert re.fullmatch(r'INFO:     127\.0\.0\.1:\d+ - "GET /plain\?a=%20\\x22b HTTP/1\.1" 200 OK', line), (
        line
    )


def test_colours(own: Serve, library: str) -> None:
    server = own(APP, library, "--use-colors")
    server.ask(target="/nowhere")
    (line,) = lines_of(server, 1)
    assert line.startswith("\033[32mINFO\033[0m:     127.0.0.1:")
    assert line.endswith('"\033[1mGET /nowhere HTTP/1.1\033[0m" \033[31m404 Not Found\033[0m')


def test_atoms_of_gunicorn(own: Serve, library: str) -> None:
    server = own(APP, library, "--access-log-format", LINE)
    fields = [("User-Agent", "agent"), ("Referer", "there"), ("X-Request-Id", "7")]
    server.ask(target="/plain?q=1", fields=fields)
    (line,) = lines_of(server, 1)
    match = re.fullmatch(
        r'127\.0\.0\.1 - - \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "GET /plain\?q=1 HTTP/1\.1" 200 5 '
        r'"there" "agent" (\d+) (\d+\.\d{6}) 7 text/plain',
        line,
    )
    assert match, line
    moment = datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z")
    assert abs(moment.timestamp() - time.time()) < TIMEOUT
    assert float(match[3]) * 1_000_000 == pytest.approx(int(match[2]), abs=1)


def test_json(own: Serve, library: str) -> None:
    server = logs_json(own, library)
    with server.connect() as client:
        client.ask(target='/plain?q="', fields=[("User-Agent", 'a"\\\xff'), ("X-Request-Id", "id")])
        port = client.socket.getsockname()[1]
    (record,) = records_of(server, 1)
    moment = datetime.strptime(record.pop("time"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs(moment.timestamp() - time.time()) < TIMEOUT
    assert 0 < record.pop("duration_ms") < TIMEOUT * 1000
    assert record == {
        "client": f"127.0.0.1:{port}",
        "method": "GET",
        "path": "/plain",
        "query": 'q="',
        "protocol": "HTTP/1.1",
        "scheme": "http",
        "status": 200,
        "bytes": 5,
        "request_id": "id",
        "host": "test.example",
        "user_agent": 'a"\\\xff',
        "referer": None,
        "library": library,
        "pid": server.process.pid,
    }


def test_identifiers_are_made(own: Serve, library: str) -> None:
    server = logs_json(own, library)
    for _ in range(3):
        server.ask(target="/plain")
    made = {record["request_id"] for record in records_of(server, 3)}
    assert len(made) == 3 and all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


def test_durations(own: Serve, library: str) -> None:
    """From the request's head to the end of the answer, where the application suspends as well."""
    server = logs_json(own, library)
    began = time.monotonic()
    server.ask(target="/slow?ms=80")
    most = (time.monotonic() - began) * 1000
    (record,) = records_of(server, 1)
    assert 79 <= record["duration_ms"] <= most


def test_kinds_of_answers(own: Serve, library: str) -> None:
    """Bytes are those of the body that went out."""
    server = logs_json(own, library)
    server.ask(target="/stream?n=7")
    server.ask("HEAD", target="/plain")
    server.ask(target="/empty")
    server.allows_alarms = True
    failed = server.ask(target="/fail")
    found = [(record["method"], record["status"], record["bytes"]) for record in records_of(server, 4)]
    assert found == [("GET", 200, 7000), ("HEAD", 200, 0), ("GET", 204, 0), ("GET", 500, len(failed.body))]


def test_pipelined(own: Serve, library: str) -> None:
    """A line for each, in order."""
    server = logs_json(own, library)
    with server.connect() as client:
        client.send(b"".join(b"GET /plain?%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(50)))
        for _ in range(50):
            client.answer()
    assert [record["query"] for record in records_of(server, 50)] == [str(n) for n in range(50)]


def test_clients_that_leave(own: Serve, library: str) -> None:
    """An answer that was begun has its line, with what went out."""
    server = logs_json(own, library)
    with server.connect() as client:
        client.request(target="/endless")
        client.until(b"x" * 1000)
        client.reset()
    (record,) = records_of(server, 1)
    assert record["status"] == 200 and record["bytes"] >= 1000


def test_websockets(own: Serve, library: str) -> None:
    """A line at the handshake."""
    server = own("websocket_script:app", library, "--access-log-format", "%(m)s %(R)s %(S)s %(s)s %(b)s")
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade("/echo")
        peer.opened()
        assert lines_of(server, 1) == ["GET /echo ws 101 -"]
        peer.leave()


def test_excluded(own: Serve, library: str) -> None:
    options = ("--access-log-exclude", "/healthz", "--access-log-exclude", "/static/*")
    server = own(APP, library, *options)
    for target in ("/healthz", "/healthz?deep", "/static/a.css", "/plain"):
        server.ask(target=target)
    assert '"GET /plain ' in lines_of(server, 1)[0]
    assert server.stop() == 0 and len(server.access().splitlines()) == 1


def test_nothing_can_be_forged(own: Serve, library: str) -> None:
    server = own(APP, library, "--access-log-format", '"%({x-a}i)s" "%({x-evil}o)s" "%({x-none}i)s"')
    server.ask(target="/plain", fields=[("X-A", '" 200 "\x80\\')])
    assert lines_of(server, 1) == [r'"\x22 200 \x22\x80\x5c" "\x22\xff" "-"']


def test_filters_for_uvicorn(own: Serve, library: str) -> None:
    """What an application hangs on uvicorn's logger sees our records; the core then leaves the log to logging."""
    server = own("logged:filtered_app", library, "--factory")
    server.ask(target="/plain?secret")
    server.ask(target="/plain?open")
    assert '"GET /plain?open HTTP/1.1" 200 OK' in lines_of(server, 1)[0]


def test_words_by_uvicorns_loggers(own: Serve, library: str) -> None:
    """They are logged, each once, and what is done to those loggers counts; nothing of it silences the server."""
    server = own("logged:talking_app", library, "--factory")
    server.ask(target="/plain")
    assert re.fullmatch(r'mine: 127\.0\.0\.1:\d+ - "GET /plain HTTP/1\.1" 200', lines_of(server, 1)[0])
    log = server.log().splitlines()
    words = ["INFO:     Said by the factory", "WARNING:  Said at the start", "INFO:     Said by a request"]
    assert [line for line in log if "Said" in line] == words
    assert any("does not support lifespan" in line for line in log), "said after its logging was set up"


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["one process", "preloaded"])
def test_a_handler_in_the_place_of_ours(own: Serve, library: str, options: tuple[str, ...]) -> None:
    """Nothing puts ours beside it, in a worker that was forked from where it was set up either."""
    server = own("logged:configured_app", library, "--factory", *options)
    server.ask(target="/plain")
    assert server.stop() == 0
    assert re.fullmatch(r'own: 127\.0\.0\.1:\d+ - "GET /plain HTTP/1\.1" 200', lines_of(server, 1)[0])


def test_format_through_logging(own: Serve, library: str, tmp_path: Path) -> None:
    """With a configuration of the user's, a finished line is the record's message."""
    config = {
        "version": 1,
        "formatters": {"own": {"format": "%(name)s|%(message)s"}},
        "handlers": {
            "out": {"class": "logging.StreamHandler", "formatter": "own", "stream": "ext://sys.stdout"}
        },
        "loggers": {"uvicorn.access": {"handlers": ["out"], "level": "INFO", "propagate": False}},
        "root": {"handlers": [], "level": "INFO"},
        "disable_existing_loggers": False,
    }
    (tmp_path / "log.json").write_text(json.dumps(config))
    options = ("--log-config", str(tmp_path / "log.json"), "--access-log-exclude", "/healthz")
    with_format = Server(APP, library, tmp_path, *options, "--access-log-format", "%(U)s %(s)s %%")
    until(lambda: answers(with_format), "the start")
    with_format.ask(target="/healthz")
    with_format.ask(target="/plain")
    assert with_format.stop() == 0
    assert with_format.access().splitlines()[-1] == "tricorn.access|/plain 200 %"
    assert "/healthz" not in with_format.access()


def answers(server: Server) -> bool:
    """Tell whether a server is up, as one without messages cannot say so."""
    try:
        return server.ask(target="/plain").status == 200
    except (OSError, Closed):
        return False


class Load:
    """Clients that ask again and again; ``answered`` are the targets whose answers were complete."""

    def __init__(self, server: Server) -> None:
        self.answered: list[str] = []
        self.sent: list[str] = []
        self.ending = False
        self._threads = [
            threading.Thread(target=self._run, args=(name, server.connect()), daemon=True)
            for name in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.answered) > 300, "a steady load")

    def join(self) -> None:
        """Wait until all have ended."""
        self.ending = True
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()

    def _run(self, name: int, client: Client) -> None:
        count = 0
        with client:
            while not self.ending:
                count += 1
                # Some suspend: their lines are written when nobody else has a turn.
                target = f"/slow?ms=1&n={name}-{count}" if count % 5 == 0 else f"/plain?n={name}-{count}"
                try:
                    self.sent.append(target)
                    client.request(target=target)
                    answer = client.answer()
                except (Closed, OSError):
                    return
                if answer.complete:
                    self.answered.append(target)
                if answer.get("connection") == "close":
                    return


def check_complete(load: Load, lines: list[str]) -> None:
    """Each answer has one line, and each line is of a request."""
    assert len(set(lines)) == len(lines)
    assert set(load.answered) <= set(lines) <= set(load.sent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_complete_after_a_stop_under_load(own: Serve, library: str, number: int) -> None:
    server = own(APP, library, "--access-log-format", "%(R)s")
    load = Load(server)
    assert server.stop(number) == 0
    load.join()
    check_complete(load, server.access().splitlines())


def test_complete_after_a_forced_end(own: Serve, library: str) -> None:
    """Two more signals end the process at once, but not before its lines are out."""
    server = own(APP, library, "--access-log-format", "%(R)s")
    server.allows_alarms = True
    with server.connect() as client:
        client.ask(target="/plain")
        client.request(target="/endless")
        client.until(b"x" * 1000)
        for _ in range(3):
            server.send_signal()
            time.sleep(0.1)
        server.wait()
    assert "/plain" in server.access().splitlines()


def test_rotation_loses_nothing(own: Serve, library: str, tmp_path: Path) -> None:
    """SIGUSR1 has files reopened that were renamed, both of them, under load."""
    access, error = tmp_path / "access", tmp_path / "error"
    options = ("--access-log-file", str(access), "--log-file", str(error), "--access-log-format", "%(R)s")
    server = own(APP, library, *options, ready=False)
    until(lambda: error.exists() and "Tricorn running" in error.read_text(), "the start")
    load = Load(server)
    for n in range(5):
        access.rename(tmp_path / f"access.{n}")
        error.rename(tmp_path / f"error.{n}")
        server.send_signal(signal.SIGUSR1)
        until(lambda: access.exists() and access.stat().st_size > 0 and error.exists(), "the new file")
    load.join()
    assert server.stop() == 0
    parts = [file.read_text() for file in tmp_path.glob("access*")]
    assert len(parts) == 6 and all(part.endswith("\n") for part in parts)
    check_complete(load, "".join(parts).splitlines())
    assert set(load.answered) == set("".join(parts).splitlines())
    assert "Shutting down" in error.read_text() and "Shutting down" not in (tmp_path / "error.4").read_text()
    assert server.log() == "" and server.access() == ""


def test_rotation_that_fails(own: Serve, library: str, tmp_path: Path) -> None:
    """Lines go on to the file that is open, and the log says why."""
    folder = tmp_path / "folder"
    folder.mkdir()
    server = own(APP, library, "--access-log-file", str(folder / "access"))
    folder.rename(tmp_path / "moved")
    server.send_signal(signal.SIGUSR1)
    until(
        lambda: f"Cannot reopen the log file {folder / 'access'}: No such file" in server.log(), "the message"
    )
    server.ask(target="/plain")
    until(lambda: "/plain" in (tmp_path / "moved" / "access").read_text(), "the line")
    server.allows_alarms = True
    assert server.stop() == 0


def piped(library: str, *options: str, stderr: int) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server whose standard output is a pipe, and wait for its URL in the file of its messages."""
    usual = ("--app-dir", str(APPS), "--port", "0", "--async-library", library)
    process = subprocess.Popen(
        [sys.executable, "-m", "tricorn", APP, *usual, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )

    def url() -> str | None:
        text = Path(f"/proc/self/fd/{stderr}").read_text()
        found = re.search(r"running on http://127\.0\.0\.1:(\d+)", text)
        return found[1] if found else None

    until(url, "the start")
    return process, str(url())


def ask(port: str, target: str = "/plain") -> None:
    """Ask a server that is known by its port."""
    with Client(socket.create_connection(("127.0.0.1", int(port)), timeout=TIMEOUT)) as client:
        assert client.ask(target=target, fields=[("Connection", "close")]).status == 200


@pytest.mark.parametrize("through", ["core", "logging"])
def test_reader_that_leaves(library: str, tmp_path: Path, through: str) -> None:
    """As with ``| head -1``: no traceback, no end, exit code 0; lines that were lost are counted."""
    config = tmp_path / "log.json"
    config.write_text(
        json.dumps(
            {
                "version": 1,
                "handlers": {
                    "out": {"class": "tricorn.log_files.StreamHandler", "stream": "ext://sys.stdout"},
                    "err": {"class": "logging.StreamHandler"},
                },
                "loggers": {"uvicorn.access": {"handlers": ["out"], "propagate": False}},
                "root": {"handlers": ["err"], "level": "INFO"},
            }
        )
    )
    options = ("--log-config", str(config)) if through == "logging" else ()
    with (tmp_path / "error").open("w+b") as error:
        process, port = piped(library, *options, stderr=error.fileno())
        assert process.stdout is not None
        ask(port)
        assert process.stdout.readline()
        process.stdout.close()
        for _ in range(5):
            ask(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    log = (tmp_path / "error").read_text()
    assert "Traceback" not in log and "Exception ignored" not in log and "BrokenPipe" not in log
    if through == "core":
        lost = [int(n) for n in re.findall(r"(\d+) line\(s\) of the access log were lost: Broken pipe", log)]
        assert sum(lost) == 5


def test_reader_that_stalls(library: str, tmp_path: Path) -> None:
    """A full pipe stops neither requests nor the end; what was written is whole, the rest is counted."""
    with (tmp_path / "error").open("w+b") as error:
        options = ("--access-log-format", "%(R)s " + "x" * 4000)
        process, port = piped(library, *options, stderr=error.fileno())
        assert process.stdout is not None and os.get_blocking(process.stdout.fileno())
        for n in range(40):
            ask(port, f"/plain?{n}")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0 and time.monotonic() - began < TIMEOUT / 2
        text = process.stdout.read().decode()
        process.stdout.close()
    lines = text.splitlines()
    assert lines and text.endswith("\n") and all(len(line) > 4000 for line in lines)
    lost = re.search(r"(\d+) line\(s\) of the access log were lost", (tmp_path / "error").read_text())
    assert lost and int(lost[1]) + len(lines) == 40


def test_reader_of_messages_that_stalls(library: str) -> None:
    """With ``2>&1`` and a reader that hangs, what clients do wrong fills the pipe: nothing else is different."""
    usual = ("--app-dir", str(APPS), "--port", "0", "--async-library", library)
    command = [sys.executable, "-m", "tricorn", APP, *usual]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        found = None
        while found is None:
            found = re.search(rb"running on http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        port = found[1].decode()
        for _ in range(60):
            with Client(socket.create_connection(("127.0.0.1", int(port)), timeout=TIMEOUT)) as client:
                client.send(b"no request\r\n\r\n")
                assert client.answer().status == 400
        ask(port)
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_closed_standard_output(library: str, tmp_path: Path) -> None:
    """As with ``>&-``: there is no access log, and nothing else is different."""
    command = 'exec "$@" >&- 2>error'
    usual = ("--app-dir", str(APPS), "--port", "0", "--async-library", library)
    arguments = ["sh", sys.executable, "-m", "tricorn", APP, *usual]
    process = subprocess.Popen(["sh", "-c", command, *arguments], cwd=tmp_path, stdin=subprocess.DEVNULL)
    error = tmp_path / "error"
    until(lambda: error.exists() and "running on" in error.read_text(), "the start")
    found = re.search(r"running on http://127\.0\.0\.1:(\d+)", error.read_text())
    assert found
    ask(found[1])
    process.terminate()
    assert process.wait(TIMEOUT) == 0 and "Traceback" not in error.read_text()

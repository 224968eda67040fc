"""``--reload``: a change starts the application anew, whatever it is doing, and the port never closes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Command, Run, open_url, without
from crews import alive, children, gone
from harness import Client, until

SOURCE = """
import time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("none")
    if scope["path"] == "/stream":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"begun", "more_body": True}})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if scope["path"] == "/stand":
        time.sleep(60)
    body = b"{version}"
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}})
    await send({{"type": "http.response.body", "body": body}})
"""


class Project:
    """An application in a directory, served with --reload."""

    def __init__(self, directory: Path, run: Run, library: str, *options: str, **more: object) -> None:
        self.file = directory / "reloaded.py"
        self.file.write_text(SOURCE.format(version="one"))
        self.server: Command = run(
            *("reloaded:app", "--reload", "--app-dir", str(directory), "--reload-dir", str(directory)),
            *("--async-library", library, "--port", "0", "--no-access-log", *options),
            **more,
        )
        self.server.wait_ready()

    def write(self, version: str) -> None:
        """Write another version in place."""
        self.file.write_text(SOURCE.format(version=version))

    def answer(self) -> str:
        """Ask for the version."""
        with self.connect() as client:
            return client.ask(fields=[("Connection", "close")]).body.decode()

    def connect(self) -> Client:
        return open_url(self.server.urls()[0])

    def becomes(self, version: str) -> None:
        """Wait until a version is served; every request until then is answered."""
        until(lambda: self.answer() == version, f"version {version}")


Open = Callable[..., Project]


@pytest.fixture
def project(tmp_path: Path, run: Run) -> Open:
    def start(library: str, *options: str, **more: object) -> Project:
        directory = tmp_path / "project"
        directory.mkdir()
        return Project(directory, run, library, *options, **more)

    return start


def test_a_change_is_served(project: Open, library: str) -> None:
    """With watchfiles; no request is refused or lost meanwhile."""
    one = project(library)
    assert "(watchfiles)" in one.server.log()
    assert one.answer() == "one"
    for version in ("two", "three"):
        one.write(version)
        one.becomes(version)
    assert "Changed: " in one.server.log()
    assert one.server.stop() == 0


@pytest.mark.in_turn
def test_a_change_is_served_without_watchfiles(project: Open, library: str, tmp_path: Path) -> None:
    one = project(library, "--reload-delay", "0.05", environment=without("watchfiles", tmp_path))
    assert "polling; 'pip install watchfiles' is quicker" in one.server.log()
    one.write("two")
    one.becomes("two")
    assert one.server.stop() == 0


@pytest.mark.in_turn
def test_what_an_editor_does_is_one_change(project: Open, library: str) -> None:
    """A swap file, a test of the directory, the old file renamed, a new one written in pieces, the backup removed."""
    one = project(library)
    folder, text = one.file.parent, SOURCE.format(version="edited")
    swap = folder / ".reloaded.py.swp"
    swap.write_bytes(b"b0VIM 9.0")
    (folder / "4913").touch()
    (folder / "4913").unlink()
    backup = folder / "reloaded.py~"
    one.file.rename(backup)
    with one.file.open("w") as file:
        for piece in (text[:100], text[100:]):
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    one.file.chmod(0o644)
    backup.unlink()
    swap.unlink()
    one.becomes("edited")
    fresh = folder / "reloaded.py.tmp"  # and what others do: a whole new file in its place
    fresh.write_text(SOURCE.format(version="replaced"))
    fresh.rename(one.file)
    one.becomes("replaced")
    assert one.server.stop() == 0


@pytest.mark.in_turn
def test_a_broken_edit_leaves_its_message_and_is_mended(project: Open, library: str) -> None:
    """Who asks meanwhile waits in the open socket, and is answered by the mended application."""
    one = project(library)
    one.file.write_text("def broken(:\n")
    until(lambda: "waiting for a change" in one.server.log(), "the message")
    assert "SyntaxError" in one.server.log()
    with one.connect() as client:
        client.request()
        assert client.quiet(0.3)
        one.file.write_text("raise RuntimeError('still broken')\n")
        until(lambda: "still broken" in one.server.log(), "the second message")
        one.write("mended")
        assert client.answer().body == b"mended"
    assert one.server.stop() == 0


def test_streams_and_loops_that_stand_still_do_not_hold_a_reload_up(project: Open, library: str) -> None:
    one = project(library)
    with one.connect() as streaming:
        streaming.request(target="/stream")
        until(lambda: not streaming.quiet(0.1), "the stream")
        one.write("two")
        one.becomes("two")
    with one.connect() as standing:
        standing.request(target="/stand")
        time.sleep(0.3)
        begun = time.monotonic()
        one.write("three")
        with one.connect() as client:
            client.request()
            assert client.answer().body == b"three"
        assert time.monotonic() - begun < 10
    assert one.server.stop() == 0


@pytest.mark.in_turn
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("state", ["serving", "broken", "standing", "importing"])
def test_a_signal_always_ends_it(project: Open, library: str, state: str, number: int) -> None:
    one = project(library)
    worker = children(one.server.process.pid)
    with one.connect() as client:
        if state == "broken":
            one.file.write_text("1 / 0\n")
            until(lambda: "waiting for a change" in one.server.log(), "the message")
        elif state == "standing":
            client.request(target="/stand")
            time.sleep(0.3)
        elif state == "importing":
            one.file.write_text("import time\ntime.sleep(60)\n")
            until(lambda: "Changed" in one.server.log(), "the change")
            until(lambda: gone(worker), "the end of the old worker")
        left = children(one.server.process.pid)
        one.server.send_signal(number)
        assert one.server.wait() in ({1} if state == "standing" else {0})
    assert gone(worker + left)


@pytest.mark.in_turn
def test_files_that_do_not_matter_change_nothing(project: Open, library: str) -> None:
    one = project(library, "--reload-include", "*.html", "--reload-exclude", "test_*.py")
    worker = children(one.server.process.pid)
    for name in ("notes.txt", "test_it.py", ".hidden.py"):
        (one.file.parent / name).write_text("text")
    time.sleep(0.7)
    assert all(map(alive, worker))
    (one.file.parent / "page.html").write_text("text")
    until(lambda: gone(worker), "a reload")
    one.becomes("one")
    assert one.server.stop() == 0


@pytest.mark.in_turn
def test_more_workers_are_not_for_reloading(project: Open, library: str) -> None:
    one = project(library, "--workers", "3")
    assert "--reload serves with one worker" in one.server.log()
    assert len(children(one.server.process.pid)) == 1
    assert one.server.stop() == 0

"""Files and streams of logs: reopened, shared, and never in the way."""

from __future__ import annotations

import errno
import io
import logging
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tricorn import access, log_files, logs
from tricorn.config import Config
from tricorn.errors import StartupError


def record(text: str) -> logging.LogRecord:
    """Return a record of a message."""
    return logging.LogRecord("x", logging.INFO, "", 0, text, None, None)


def test_file_is_appended_to_and_reopened(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    handler = log_files.FileHandler(log_files.LogFile(str(path)))
    fd = handler.file.fd
    handler.handle(record("one \udc80"))
    path.rename(tmp_path / "old")
    handler.handle(record("two"))
    assert logs.reopen() == [] and handler.file.fd == fd and not os.get_inheritable(fd)
    handler.handle(record("three"))
    assert (tmp_path / "old").read_text() == "before\none \\udc80\ntwo\n"
    assert path.read_text() == "three\n"
    handler.close()
    handler.close()
    with pytest.raises(OSError):
        os.fstat(fd)
    assert logs.reopen() == []


def test_reopening_that_fails(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = log_files.LogFile(str(folder / "log"))
    folder.rename(tmp_path / "moved")
    (problem,) = logs.reopen()
    assert problem == f"Cannot reopen the log file {folder / 'log'}: No such file or directory"
    os.write(file.fd, b"x")
    assert (tmp_path / "moved" / "log").read_text() == "x"
    file.close()


def test_path_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"cannot open the log file .*: Is a directory; give a path"):
        log_files.LogFile(str(tmp_path))


def test_path_is_kept_when_the_directory_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = log_files.LogFile("log")
    (tmp_path / "log").unlink()
    monkeypatch.chdir("/")
    assert logs.reopen() == [] and (tmp_path / "log").exists()
    file.close()


def test_full_disk_is_nobodys_failure(capsys: pytest.CaptureFixture[str]) -> None:
    handler = log_files.FileHandler(log_files.LogFile("/dev/full"))
    handler.handle(record("lost"))
    bad = record("%d")
    bad.args = ("no number",)
    handler.handle(bad)
    assert "Logging error" in capsys.readouterr().err  # of the caller's own doing
    handler.close()


def test_what_a_full_disk_has_lost_is_said_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line that was cut short keeps to itself, and the others are counted."""
    handler = log_files.FileHandler(log_files.LogFile(str(tmp_path / "log")))
    room = [10]
    write = os.write

    def write_some(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(fd, data[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", write_some)
    for text in ("first", "second", "third"):
        handler.handle(record(text))
    room[0] = 1000
    for text in ("fourth", "fifth"):
        handler.handle(record(text))
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == [
        "first",
        "seco",
        "2 message(s) were lost: No space left on device",
        "fourth",
        "fifth",
    ]
    handler.close()


def test_a_line_that_was_cut_short_does_not_begin_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    file = log_files.LogFile(str(path))
    with monkeypatch.context() as full:
        results = iter([3])
        full.setattr(os, "write", lambda *_: next(results))
        with pytest.raises(StopIteration):
            file.append(b"first\n")
    assert file.within
    path.unlink()
    file.reopen()
    file.append(b"second\n")
    assert path.read_bytes() == b"second\n"
    file.close()


class Broken(io.StringIO):
    """A stream whose reader has left."""

    def write(self, _text: str, /) -> int:
        raise BrokenPipeError


def test_broken_stream_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    handler = log_files.StreamHandler(Broken())
    handler.handle(record("lost"))
    assert capsys.readouterr().err == ""
    bad = record("%d")
    bad.args = ("no number",)
    handler.handle(bad)
    assert "Logging error" in capsys.readouterr().err


def filled(writer: int) -> int:
    """Write until there is no more room, and return how much it was."""
    os.set_blocking(writer, False)
    size = 0
    for piece in (65_536, 512, 1):
        try:
            while True:
                size += os.write(writer, b"." * piece)
        except BlockingIOError:
            pass
    os.set_blocking(writer, True)
    return size


def read_up(reader: int) -> str:
    """Return all that can be read now."""
    os.set_blocking(reader, False)
    text = b""
    try:
        while piece := os.read(reader, 1 << 20):
            text += piece
    except BlockingIOError:
        pass
    return text.decode()


@pytest.mark.parametrize("pair", [os.pipe, lambda: [one.detach() for one in socket.socketpair()]])
def test_messages_that_nobody_reads_are_lost_and_counted(
    pair: Callable[[], tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first waits a little, further ones not at all."""
    monkeypatch.setattr(log_files, "WAIT", 0.3)
    reader, writer = pair()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):
        handler = log_files.StreamHandler(stream)
        handler.handle(record("one"))
        filled(writer)
        times = []
        for text in ("two", "three", "four"):
            begin = time.monotonic()
            handler.handle(record(text))
            times.append(time.monotonic() - begin)
        assert times[0] > 0.25 and sum(times[1:]) < 0.2
        assert read_up(reader).replace(".", "") == "one\n"
        handler.handle(record("five"))
        handler.handle(record("six"))
        assert read_up(reader) == "3 message(s) were lost: nobody read them\nfive\nsix\n"
        handler.close()
        handler.handle(record("seven"))
        assert read_up(reader) == "seven\n"


def test_a_message_that_was_cut_short_keeps_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "WAIT", 0.01)
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):
        handler = log_files.StreamHandler(stream)
        handler.handle(record("long" * 100_000))
        assert read_up(reader).strip("long") == ""
        handler.handle(record("next"))
        assert read_up(reader) == "\n1 message(s) were lost: nobody read them\nnext\n"
        handler.close()


def test_messages_follow_a_stream_that_is_redirected(tmp_path: Path) -> None:
    """As a wrapper does that rotates what it takes standard error to."""
    first, second = tmp_path / "first", tmp_path / "second"
    with first.open("w") as stream, second.open("w") as other:
        handler = log_files.StreamHandler(stream)
        handler.handle(record("one"))
        os.dup2(other.fileno(), stream.fileno())
        handler.handle(record("two"))
        handler.close()
        stream.write("open\n")
    assert (first.read_text(), second.read_text()) == ("one\n", "two\nopen\n")


def test_a_count_of_lost_messages_is_told_once(tmp_path: Path) -> None:
    """Also when there is room for it, and none for the message behind it; what was cut leaves no empty line."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    past = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    file = log_files.LogFile(str(tmp_path / "log"))
    handler = log_files.FileHandler(file)
    try:
        for room, text in ((30, "a" * 20), (30, "cut " * 5), (30, "lost"), (31, "lost"), (90, "b" * 60)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
            handler.handle(record(text))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, past)
    handler.handle(record("end"))
    handler.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[:3] == ["a" * 20, "cut cut c", "3 message(s) were lost: File too large"]
    assert "" not in lines and lines[-2:] == ["1 message(s) were lost: File too large", "end"]


def test_a_message_waits_for_a_reader_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "WAIT", 10.0)  # the machine may be slow, too
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):
        handler = log_files.StreamHandler(stream)
        filled(writer)
        read: list[str] = []
        thread = threading.Timer(0.05, lambda: read.append(read_up(reader)))
        thread.start()
        handler.handle(record("late"))
        thread.join()
        assert (read[0] + read_up(reader)).replace(".", "") == "late\n"
        handler.close()


def test_a_mistake_of_the_caller_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):
        handler = log_files.StreamHandler(stream)
        bad = record("%d")
        bad.args = ("no number",)
        handler.handle(bad)
        handler.close()
    assert "Logging error" in capsys.readouterr().err


def test_descriptors(tmp_path: Path) -> None:
    """A pipe is opened once more, so that the flag is our own; a file is written to as it is."""
    assert log_files.descriptor(log_files.StreamHandler(io.StringIO())) == (-1, 0, False)
    assert log_files.descriptor(logging.NullHandler()) == (-1, 0, False)
    with (tmp_path / "out").open("w") as stream:
        assert log_files.descriptor(log_files.StreamHandler(stream)) == (stream.fileno(), 0, False)
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):
        fd, piece, owned = log_files.descriptor(log_files.StreamHandler(stream))
        assert (piece, owned) == (select.PIPE_BUF, True) and fd not in (reader, writer)
        assert not os.get_blocking(fd) and os.get_blocking(writer)
        os.close(fd)
    ours, theirs = socket.socketpair()
    with ours, theirs, os.fdopen(os.dup(ours.fileno()), "w") as stream:
        assert log_files.descriptor(log_files.StreamHandler(stream)) == (
            stream.fileno(),
            select.PIPE_BUF,
            False,
        )
    file = log_files.LogFile(str(tmp_path / "log"))
    assert log_files.descriptor(log_files.FileHandler(file)) == (file.fd, 0, False)
    file.close()


def test_streams_that_nobody_reads_end_in_peace() -> None:
    """What they still hold is no error at the end of the process."""
    code = (
        "import os, sys; from tricorn import log_files\n"
        "reader, writer = os.pipe(); os.dup2(writer, 1); os.close(reader); os.close(writer)\n"
        "sys.stdout.write('x'); log_files.let_streams_go()"
    )
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, env=buffered)
    assert (done.returncode, done.stderr) == (0, b"")


async def app(scope: object, receive: object, send: object) -> None:
    """An application that is never called here."""


def test_configured_files_are_closed_by_the_next_configuration(tmp_path: Path) -> None:
    names = ("tricorn", "tricorn.error", "tricorn.access")
    saved = [(logging.getLogger(name), list(logging.getLogger(name).handlers)) for name in names]
    try:
        config = Config(app, log_file=str(tmp_path / "e"), access_log_file=str(tmp_path / "a"))
        config.configure_logging()
        log = logs.access_logger(config)
        assert log is not None
        log(("127.0.0.1", 5), "GET", "/", "1.1", 200)
        logging.getLogger("tricorn.error").info("hello")
        fds = [handler.file.fd for name in names for handler in files_of(name)]
        assert len(fds) == 2
        Config(app).configure_logging()
        for fd in fds:
            with pytest.raises(OSError):
                os.fstat(fd)
    finally:
        for logger, handlers in saved:
            logger.handlers = handlers
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
    assert (tmp_path / "a").read_text() == 'INFO:     127.0.0.1:5 - "GET / HTTP/1.1" 200 OK\n'
    assert (tmp_path / "e").read_text() == "INFO:     hello\n"


def files_of(name: str) -> list[log_files.FileHandler]:
    """Return the handlers of a logger that write to files."""
    return [one for one in logging.getLogger(name).handlers if isinstance(one, log_files.FileHandler)]


def test_what_was_done_to_uvicorns_loggers_is_done_to_ours() -> None:
    theirs, ours = logging.getLogger("uvicorn.access"), logging.getLogger("tricorn.access")
    handler, only = logging.NullHandler(), logging.Filter("x")
    theirs.addHandler(handler)
    theirs.addFilter(only)
    theirs.setLevel(logging.ERROR)
    theirs.disabled = True
    try:
        access.adopt()
        assert handler in ours.handlers and only in ours.filters
        assert ours.level == logging.ERROR and ours.disabled
    finally:
        for logger in (theirs, ours):
            logger.removeHandler(handler)
            logger.removeFilter(only)
            logger.setLevel(logging.NOTSET)
            logger.disabled = False

"""How worker processes are started: what they are told, what they find, and what is refused."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tricorn import importer, spawning, supervisor, worker
from tricorn.config import Config
from tricorn.errors import StartupError, UsageError

UNGUARDED = """
import tricorn

async def app(scope, receive, send):
    pass

tricorn.run("unguarded:app", workers=2, port=0)
"""


def run(script: Path, directory: Path) -> str:
    """Run a script in a directory, and return what it says; it ends with 3."""
    environment = {**os.environ, "PYTHONPATH": str(script.parent)}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    return done.stderr


def test_a_script_that_runs_the_server_whenever_it_is_imported(tmp_path: Path) -> None:
    """Each worker would have workers again, and so on."""
    (tmp_path / "unguarded.py").write_text(UNGUARDED)
    said = run(tmp_path / "unguarded.py", tmp_path)
    assert "call tricorn.run() under if __name__ == '__main__'" in said
    with importer.in_worker(), pytest.raises(UsageError):
        importer.refuse_in_worker()
    importer.refuse_in_worker()


def test_files_of_the_current_directory_hide_no_module(tmp_path: Path) -> None:
    """The command does not look there for what it needs itself, and neither do its workers."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "serve.py"
    script.write_text("import tricorn\ntricorn.run('not_there:app', workers=2, port=0)\n")
    (tmp_path / "random.py").write_text("raise RuntimeError('hidden')\n")
    said = run(script, tmp_path)
    assert "not_there" in said
    assert "hidden" not in said


def test_options_that_cannot_be_passed_are_refused() -> None:
    config = Config("app:app", workers=2, log_config={"version": 1, "stream": sys.stderr})
    with pytest.raises(UsageError, match="cannot be passed to worker processes"):
        supervisor.check(config)
    config.preload = True
    supervisor.check(config)


def written(data: bytes) -> int:
    """Return a pipe that holds these bytes."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def test_a_worker_whose_options_are_not_to_be_had_says_so() -> None:
    """As the script that has defined them is another module there."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    task = pickle.dumps(Config).replace(b"Config", b"Confiq")
    with ours:
        assert worker.main([str(written(task)), str(theirs.detach())]) == 3
        assert ours.recv(1000).startswith(spawning.FAILED + b"an option cannot be had in a worker process")


def test_a_worker_whose_supervisor_has_gone_already_ends() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        assert worker.main([str(written(b"")), str(theirs.detach())]) == 0


def test_descriptors_that_are_not_to_be_had_are_a_line() -> None:
    def make() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(StartupError, match="ulimit -n"):
        supervisor.prepared(make)

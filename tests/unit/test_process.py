"""What a process is told of its end: deadlines that nothing escapes, and the parent's death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tricorn import _core

HOLD = "collections.deque(itertools.repeat(0), maxlen=0)"
"""Never ends, and never lets another thread or a signal's handler run."""


def run(program: str) -> subprocess.Popen[str]:
    """Start a program that has what it needs imported."""
    head = "import collections, itertools, os, signal, sys, threading, time\nfrom tricorn import _core\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(program: str) -> tuple[int, str]:
    """Run a program; returns its exit code and what it wrote to standard error."""
    process = run(program)
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors


def test_whatever_holds_the_interpreter() -> None:
    """The message is written, and the process is gone."""
    began = time.monotonic()
    code, errors = outcome(f"_core.deadline(0.3, b'enough\\n', 4)\n{HOLD}")
    assert (code, errors) == (4, "enough\n")
    assert time.monotonic() - began < 5


def test_one_replaces_another() -> None:
    """The last counts; 0 takes it back, also when there is none."""
    code, errors = outcome(
        """
        _core.deadline(0, b"", 0)
        _core.deadline(0.1, b"first", 4)
        _core.deadline(60, b"second", 5)
        time.sleep(0.3)
        _core.deadline(0.0001, b"third", 6)
        time.sleep(10)
        """
    )
    assert (code, errors) == (6, "third")
    assert outcome("_core.deadline(0.2, b'', 4); _core.deadline(0, b'', 0); time.sleep(0.5)") == (0, "")


def test_a_child_has_none() -> None:
    """Until it sets its own."""
    code, errors = outcome(
        """
        _core.deadline(0.2, b"parent", 4)
        if os.fork() == 0:
            time.sleep(0.5)
            _core.deadline(0.2, b"child", 5)
            time.sleep(10)
        _core.deadline(0, b"", 0)
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
        """
    )
    assert (code, errors) == (5, "child")


@pytest.mark.parametrize(
    ("signals", "patiences"), [(1, "(0.2, 0, 0)"), (2, "(0, 0.2, 0)"), (3, "(0, 0, 0.2)")]
)
def test_signals_that_nobody_acts_on(signals: int, patiences: str) -> None:
    """Python's handler is not run while C holds the interpreter."""
    process = run(
        f"""
        signal.signal(signal.SIGTERM, lambda *_: None)
        _core.heed_signals([signal.SIGTERM], {patiences}, b"stuck", 4)
        print("ready", flush=True)
        {HOLD}
        """
    )
    assert process.stdout is not None
    process.stdout.readline()
    for n in range(signals):
        assert process.poll() is None, n
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (4, "stuck")


def test_signals_that_are_acted_on() -> None:
    """Handlers run as ever; taking the deadline back takes these back, too."""
    code, errors = outcome(
        """
        seen = []
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
        _core.heed_signals([signal.SIGTERM, signal.SIGINT], (0.2, 0.2, 0.2), b"stuck", 4)
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGTERM]
        _core.deadline(0, b"", 0)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        assert len(seen) == 2
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            sys.exit(7)
        """
    )
    assert (code, errors) == (7, "")


def test_what_is_refused() -> None:
    """Times that are none, too many signals, and numbers of none."""
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            _core.deadline(seconds, b"", 0)
    with pytest.raises(ValueError, match="seconds"):
        _core.heed_signals([], (0, -1, 0), b"", 0)
    with pytest.raises(ValueError, match="at most 4"):
        _core.heed_signals([1] * 5, (0, 0, 0), b"", 0)
    with pytest.raises(TypeError):
        _core.heed_signals(1, (0, 0, 0), b"", 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.heed_signals(["TERM"], (0, 0, 0), b"", 0)  # type: ignore[list-item]
    with pytest.raises(OSError, match="Invalid argument"):
        _core.heed_signals([9999], (0, 0, 0), b"", 0)
    _core.heed_signals([], (0, 0, 0), b"", 0)
    with pytest.raises(RuntimeError):
        _core.heed_signals([], (0, 0, 0), b"", 0)
    _core.deadline(0, b"", 0)
    with pytest.raises(OSError, match="Invalid argument"):
        _core.die_with_parent(9999, os.getpid())


def test_a_child_dies_with_its_parent() -> None:
    """And is told when it is too late for that."""
    process = run(
        """
        parent = os.getpid()
        if os.fork() == 0:
            assert _core.die_with_parent(signal.SIGKILL, parent)
            assert not _core.die_with_parent(signal.SIGKILL, parent + 1)
            os.write(1, b"ready\\n")
            time.sleep(60)
        time.sleep(60)
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    assert process.stdout.read() == ""  # the end of the pipe: the child is gone as well
    process.wait()

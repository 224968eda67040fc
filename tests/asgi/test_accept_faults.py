"""Connections that cannot be accepted: they wait, the server rests meanwhile, says so once, and goes on by itself."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import faulty
import pytest
from harness import Serve, Server, until

MACHINE = {
    errno.EMFILE: "this process has as many descriptors open as it may",
    errno.ENFILE: "the system has as many descriptors open as it may",
    errno.ENOMEM: "the system has no memory for more",
    errno.ENOBUFS: "the system has no memory for more",
}
CONNECTION = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)
"""Errors of the connection that would be accepted, after which the next one is tried at once."""

pytestmark = pytest.mark.skipif(faulty.library() is None, reason="there is no compiler")


def serve(own: Serve, library: str, faults: faulty.Faults) -> Server:
    """Start a server that meets faults."""
    return own("stops:app", library, "--no-access-log", environment=faults.environment)


@pytest.mark.parametrize("number", [*MACHINE, *CONNECTION], ids=errno.errorcode.__getitem__)
def test_connections_wait_while_none_can_be_accepted(
    own: Serve, library: str, tmp_path: Path, number: int, record_property: Callable[[str, object], None]
) -> None:
    """Those that are open are served meanwhile; nothing is lost, and nothing spins."""
    faults = faulty.Faults(tmp_path)
    server = serve(own, library, faults)
    with server.connect() as before:
        assert before.ask(target="/plain?n=1").body == b"n=1"
        faults.accepting(number)
        with server.connect() as first, server.connect() as second:
            first.request(target="/plain?n=2")
            second.request(target="/plain?n=3")
            until(lambda: "Connections wait to be accepted" in server.log(), "the word of it")
            used = server.cpu()
            assert first.quiet(1) and second.quiet(0.1)
            assert before.ask(target="/plain?n=4").body == b"n=4"
            used = server.cpu() - used
            assert used < 0.5
            tried = faults.mended()
            assert first.answer().body == b"n=2"
            assert second.answer().body == b"n=3"
    record_property("accepts failed", tried)
    record_property("ms of CPU while none was accepted", round(1000 * used))
    assert 2 <= tried < 60 * (64 if number in CONNECTION else 1)
    assert server.stop() == 0
    log = server.log()
    assert log.count("Connections wait to be accepted") == 1, log
    assert MACHINE.get(number, "the system refuses them") in log


@pytest.mark.parametrize("number", [*MACHINE, *CONNECTION, errno.EINTR], ids=errno.errorcode.__getitem__)
def test_a_few_failures_cost_no_connection(own: Serve, library: str, tmp_path: Path, number: int) -> None:
    faults = faulty.Faults(tmp_path)
    server = serve(own, library, faults)
    for times in (1, 2, 3):
        faults.accepting(number, times)
        with server.connect() as client:
            assert client.ask(target=f"/plain?n={times}").body == b"n=%d" % times
        assert faults.mended() == times
    assert server.stop() == 0


def test_a_stop_while_none_can_be_accepted(own: Serve, library: str, tmp_path: Path) -> None:
    """Who waits is not served, but the server ends in time."""
    faults = faulty.Faults(tmp_path)
    server = serve(own, library, faults)
    faults.accepting(errno.EMFILE)
    with server.connect() as client:
        client.request(target="/plain?n=1")
        until(lambda: "Connections wait to be accepted" in server.log(), "the word of it")
        assert server.stop() == 0
        assert client.rest() == b""

"""Slow clients suspend send(), slow applications stop the reading, and what waits in between is bounded."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
from harness import Serve, Server, until
from websocket_client import (
    ACCEPT,
    APP,
    BINARY,
    CONNECT,
    DEFLATE,
    TEXT,
    Deflater,
    Peer,
    Script,
    close_frame,
    ended,
    frame,
    reach,
    said,
)

ROOM = 8192
BLOCK = 60_000
GROWTH = 12 << 20
GROWN = (2 << 20, 100, 1 << 20, 1 << 20)
"""Bytes of messages that are small when compressed."""


def sent(server: Server, script: Script) -> int:
    """Return how many messages of a flood were taken by send()."""
    found = server.get(f"/notes?token={script.token}-sent")
    return int(found[0]) if found else 0


def stalled(server: Server, script: Script) -> int:
    """Wait until a flood stands still, and return after how many messages."""
    counts = [-1]

    def still() -> bool:
        counts.append(sent(server, script))
        time.sleep(0.2)
        return counts[-1] == sent(server, script) > 0

    until(still, "the flood is suspended")
    return counts[-1]


@pytest.mark.parametrize("offer", [None, "permessage-deflate"], ids=["plain", "offered"])
def test_slow_reader_suspends_send(shared: Serve, library: str, offer: str | None) -> None:
    """And goes on when the client reads again: nothing is lost."""
    server = shared(APP, library, "--no-ws-per-message-deflate")
    script = Script(CONNECT, ACCEPT, ["flood", BLOCK, 1000])
    memory = server.memory()
    with reach(server, script.target, offer=offer, room=ROOM) as peer:
        count = stalled(server, script)
        assert count * BLOCK < 16 << 20, "the kernel's buffers and ours hold no more"
        assert server.memory() - memory < GROWTH
        for _ in range(1000):
            assert peer.message() == bytes(BLOCK)
        assert peer.failed() == 1000
    assert script.note(server) == [1000, "sent"]


def test_many_small_messages_suspend_send_too(shared: Serve, library: str) -> None:
    """What a message takes besides its bytes counts as well."""
    server = shared(APP, library)
    script = Script(CONNECT, ACCEPT, ["flood", 1, 300_000])
    memory = server.memory()
    with reach(server, script.target, room=2048) as peer:
        until(lambda: sent(server, script) > 0, "the beginning")
        time.sleep(1)
        assert server.memory() - memory < GROWTH
        got = 0
        while got < 300_000:
            peer.exactly(3)
            got += 1
        assert peer.failed() == 1000
    assert script.note(server) == [300_000, "sent"]


def test_others_are_served_meanwhile(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    floods = [Script(CONNECT, ACCEPT, ["flood", BLOCK, 1000]) for _ in range(10)]
    with contextlib.ExitStack() as stack:
        for script in floods:
            stack.enter_context(reach(server, script.target, room=ROOM))
        for script in floods:
            stalled(server, script)
        with reach(server) as peer:
            began = time.monotonic()
            for number in range(100):
                peer.text(str(number))
                assert peer.message() == str(number)
            assert time.monotonic() - began < 3
    for script in floods:
        assert script.note(server)[1] == "ClientDisconnected"


def test_messages_that_grow_take_turns_and_all_arrive(shared: Serve, library: str) -> None:
    """Of what is inflated in a turn there is a bound: what waits for the next one is not forgotten, also within TLS."""
    server = shared(APP, library)
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(reach(server, offer=f"{DEFLATE}; client_no_context_takeover"))
            for _ in range(8)
        ]
        for peer in peers:
            deflate = Deflater(peer.agreed)
            peer.send(b"".join(frame(BINARY, deflate(bytes(size)), rsv=4) for size in GROWN))
        for peer in peers:
            assert [peer.message() for _ in GROWN] == [bytes(size) for size in GROWN]


def test_slow_reader_is_ended_by_the_write_deadline(shared: Serve, library: str) -> None:
    """A client that takes nothing at all for so long is let go of; send() raises."""
    server = shared(APP, library, "--timeout-write", "1")
    script = Script(CONNECT, ACCEPT, ["flood", BLOCK, 1000])
    with reach(server, script.target, room=ROOM) as peer:
        assert script.note(server)[1] == "ClientDisconnected"
        assert peer.gone()


def push(peer: Peer, data: bytes, most: int) -> int:
    """Send the same bytes again and again until nobody takes more, and return how many were sent."""
    peer.socket.setblocking(False)
    total, stuck = 0, 0.0
    while total < most and stuck < 0.5:
        try:
            total += peer.socket.send(data[total % len(data) :])
            stuck = 0.0
        except BlockingIOError:
            time.sleep(0.02)
            stuck += 0.02
    peer.socket.settimeout(15)
    return total


@pytest.mark.parametrize("size", [1, 100, 100_000], ids=["tiny", "small", "large"])
def test_slow_application_stops_the_reading(shared: Serve, library: str, size: int) -> None:
    """What it has not received yet stays with the client, and is there when it goes on: their count is no bound here,
    and small messages take memory of their own."""
    server = shared(APP, library, "--ws-max-queue-bytes", "200000", "--ws-max-queue", "1000000")
    script = Script(CONNECT, ACCEPT, ["wait"], ["echo"])
    memory = server.memory()
    message = frame(BINARY, b"m" * size)
    with reach(server, script.target) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        total = push(peer, message, 64 << 20)
        assert total < 32 << 20, "the reading has stopped"
        assert server.memory() - memory < GROWTH
        count = total // len(message)
        assert server.get("/asked")[0] == "http", "nobody else is affected"
        script.release(server)
        for _ in range(min(count, 2000)):
            assert peer.message() == b"m" * size


def test_messages_in_the_queue_are_bounded(shared: Serve, library: str) -> None:
    """With room for two, the others are not lost."""
    server = shared(APP, library, "--ws-max-queue", "2")
    script = Script(CONNECT, ACCEPT, ["wait"], ["drain"])
    with reach(server, script.target) as peer:
        peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(300)) + close_frame(3000))
        time.sleep(0.3)
        assert peer.quiet(0.1), "the close frame is not read yet"
        script.release(server)
        assert peer.closing()[0] == 3000
    expected = [*(said(str(number)) for number in range(300)), ended(3000)]
    assert script.noted(server, 301) == expected


def test_large_message_in_a_small_queue(shared: Serve, library: str) -> None:
    """The message that exceeds the queue's bytes is still taken."""
    server = shared(APP, library, "--ws-max-queue-bytes", "1000", "--ws-max-queue", "1")
    with reach(server) as peer:
        for _ in range(3):
            peer.binary(bytes(3_000_000))
            assert peer.message() == bytes(3_000_000)


def test_client_that_goes_while_the_reading_is_stopped(shared: Serve, library: str) -> None:
    """The next ping notices a reset, for an application that does not look; it sees it later."""
    server = shared(
        APP, library, "--ws-max-queue", "2", "--ws-ping-interval", "0.3", "--ws-ping-timeout", "0.3"
    )
    before = server.descriptors()
    script = Script(CONNECT, ACCEPT, ["wait"], ["drain"])
    peer = reach(server, script.target)
    peer.send(frame(TEXT, b"a") * 50)
    time.sleep(0.2)
    peer.reset()
    until(lambda: server.descriptors() <= before, "the descriptor is given back")
    script.release(server)
    until(lambda: ended(1006) in script.notes(server), "the disconnect")
    found = script.notes(server)
    assert found[:-1] == [said("a")] * (len(found) - 1) and 1 <= len(found) <= 51


def test_slow_application_is_not_cut_off_by_pings(shared: Serve, library: str) -> None:
    """While the reading stands still, a pong cannot be seen: that must not look like a dead client."""
    server = shared(
        APP, library, "--ws-max-queue", "1", "--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.2"
    )
    script = Script(CONNECT, ACCEPT, ["sleep", 1.5], ["drain"])
    with reach(server, script.target) as peer:
        for number in range(5):
            peer.text(str(number))
        peer.socket.settimeout(0.05)
        deadline = time.monotonic() + 1.2
        answer_pings(peer, deadline)
        peer.send(close_frame(3000))
        assert script.noted(server, 6) == [*(said(str(number)) for number in range(5)), ended(3000)]


def answer_pings(peer: Peer, deadline: float) -> None:
    """Answer pings up to then."""
    while time.monotonic() < deadline:
        try:
            ping = peer.read()
        except TimeoutError:
            continue
        peer.send(frame(10, ping.payload))
    peer.socket.settimeout(15)


def test_echo_of_a_client_that_sends_without_reading(shared: Serve, library: str) -> None:
    """An echo's send() is suspended, so it receives nothing, so the reading stops: memory stays flat."""
    server = shared(APP, library, "--no-ws-per-message-deflate")
    memory = server.memory()
    with reach(server, room=ROOM) as peer:
        message = frame(BINARY, b"m" * 10_000)
        total = push(peer, message, 256 << 20)
        assert total < 64 << 20
        assert server.memory() - memory < GROWTH
        for _ in range(total // len(message)):
            assert peer.message() == b"m" * 10_000

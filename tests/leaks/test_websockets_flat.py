"""Memory and descriptors stay where they are, however many messages and WebSockets have come and gone."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import LIBRARIES, Server, until
from websocket_client import (
    BINARY,
    CONTINUATION,
    DEFLATE,
    FIELDS,
    PING,
    TEXT,
    Deflater,
    Peer,
    close_frame,
    frame,
    reach,
    refused,
)

MESSAGES = 40_000
VISITS = 60
CROWD = 300
GROWTH = 2 << 20
SETTLES = 10.0
WORDS = "a text that can be compressed, " * 8


@pytest.fixture(params=LIBRARIES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which must stop well."""
    server = Server(
        "websocket_flat:app", request.param, tmp_path, "--no-access-log", "--ws-max-control-rate", "0"
    )
    try:
        server.wait_ready()
        yield server
        assert server.stop() == 0, server.log()
    finally:
        server.kill()


def rounds(peer: Peer, count: int) -> None:
    """Have about so many messages echoed: small and large, in fragments, with pings between them."""
    mix = [
        *[frame(TEXT, b"small")] * 40,
        *[frame(BINARY, bytes(2000))] * 6,
        frame(BINARY, bytes(70_000)),
        frame(TEXT, b"in ", fin=False) + frame(PING, b"x") + frame(CONTINUATION, b"fragments"),
    ]
    expected = ["small"] * 40 + [bytes(2000)] * 6 + [bytes(70_000), "in fragments"]
    for _ in range(count // len(mix)):
        peer.send(b"".join(mix))
        assert [peer.message() for _ in mix] == expected


def compressed_rounds(peer: Peer, count: int) -> None:
    """Have so many compressed messages echoed."""
    deflate = Deflater(peer.agreed)
    for number in range(count // 50):
        texts = [f"{number} {part} {WORDS}" for part in range(50)]
        peer.send(b"".join(frame(TEXT, deflate(text.encode()), rsv=4) for text in texts))
        assert [peer.message() for _ in texts] == texts


def test_memory_is_flat_over_many_messages(server: Server) -> None:
    with reach(server) as peer:
        rounds(peer, MESSAGES // 4)
        memory, descriptors = server.memory(), server.descriptors()
        rounds(peer, MESSAGES)
        assert server.memory() - memory < GROWTH
        assert server.descriptors() == descriptors


def test_memory_is_flat_over_many_compressed_messages(server: Server) -> None:
    with reach(server, "/sleep", offer=f"{DEFLATE}; client_max_window_bits") as peer:
        compressed_rounds(peer, MESSAGES // 8)
        memory = server.memory()
        compressed_rounds(peer, MESSAGES // 4)
        assert server.memory() - memory < GROWTH


def visit(server: Server) -> None:
    """Come and go in every way: closed by either side, failed, refused, denied, reset in the middle of something."""
    for target in ("/echo", "/sleep"):
        for offer in (None, DEFLATE):
            with reach(server, target, offer=offer) as peer:
                peer.text(WORDS)
                assert peer.message() == WORDS
                assert peer.leave(3000, "done")[0] == 3000
    for target, code in (("/fail", 1011), ("/close", 4000), ("/broadcast", 1000)):
        with reach(server, target, offer=DEFLATE) as peer:
            assert peer.failed() == code
    assert refused(server, FIELDS, "/deny").status == 401
    assert refused(server, FIELDS, "/refuse").status == 403
    assert refused(server, FIELDS[:-1]).status == 400
    for wrong in (frame(3), frame(TEXT, b"\xff"), frame(BINARY, length=1 << 40, size=64), close_frame(1005)):
        with reach(server) as peer:
            peer.send(wrong)
            assert peer.failed() in {1002, 1007, 1009}
    lost(server)


def lost(server: Server) -> None:
    """Vanish within a frame, within a message, within a compressed one."""
    parts = [
        frame(TEXT, b"abc", length=60_000),
        frame(TEXT, b"abc" * 5000, fin=False),
        frame(TEXT, b"\xf2\x48\xcd", fin=False, rsv=4),
        struct.pack("!H", 0x81FE),
    ]
    for number, part in enumerate(parts):
        peer = reach(server, offer=DEFLATE)
        peer.send(frame(TEXT, b"whole") + part)
        if number % 2:
            peer.reset()
        else:
            peer.close()


def test_memory_and_descriptors_return_after_many_visits(server: Server) -> None:
    at_rest = server.descriptors()
    for _ in range(VISITS // 3):
        visit(server)
    until(lambda: server.descriptors() == at_rest, "the descriptors are back")
    memory = server.memory()
    for _ in range(VISITS):
        visit(server)
    until(lambda: server.descriptors() == at_rest, "the descriptors are back")
    assert server.memory() - memory < GROWTH


def test_memory_returns_after_many_at_once(server: Server) -> None:
    def crowd() -> None:
        with ExitStack() as stack:
            peers = [
                stack.enter_context(reach(server, offer=DEFLATE if number % 2 else None))
                for number in range(CROWD)
            ]
            for peer in peers:
                peer.text(WORDS)
            for peer in peers:
                assert peer.message() == WORDS
                assert peer.leave() == (1000, "")

    for _ in range(4):  # the most that the library's own tasks take at once
        crowd()
    at_rest = server.memory()
    for _ in range(4):
        crowd()
    deadline = time.monotonic() + SETTLES
    while (
        server.memory() - at_rest >= GROWTH
    ):  # streams of zlib are given up when nobody has used them for a while
        assert time.monotonic() < deadline, (at_rest, server.memory())
        time.sleep(0.1)

"""tricorn.broadcast: one message to many WebSockets."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from harness import Serve, Server, until
from websocket_client import CLOSE, DEFLATE, Deflater, Peer, close_frame, frame, reach

NONE_TOO = True
APP = "websocket_rooms:app"
TEXT = 1
SLOW = ("--limit-send-buffer", "65536")


class Room:
    """WebSockets of the application that a broadcast reaches together."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name

    def join(self, stack: ExitStack, count: int = 1, *, wrapped: bool = False, **how: Any) -> list[Peer]:
        """Open WebSockets that are in the room; with ``wrapped`` their ``send`` is not the server's own."""
        target = f"/join?room={self.name}" + "&wrapped" * wrapped
        peers = [stack.enter_context(reach(self.server, target, **how)) for _ in range(count)]
        for peer in peers:
            assert peer.message() == "joined"
        return peers

    def ask(self, **query: Any) -> Any:
        """Have the application broadcast, and return what it says of it."""
        return self.server.get("/broadcast?" + urlencode({"room": self.name, **query}))

    def size(self) -> int:
        """Return how many are in the room."""
        return int(self.ask(action="size"))


@pytest.mark.parametrize("text", ["", "hello", "schön 𝄞", "x" * 125, "x" * 126, "word " * 20_000])
def test_text_reaches_all(shared: Serve, library: str, text: str) -> None:
    """With and without compression, with windows of their own, wrapped by a middleware or not."""
    room = Room(shared(APP, library), f"text-{len(text)}-{text[:1]!r}")
    with ExitStack() as stack:
        peers = room.join(stack, 5)
        peers += room.join(stack, 5, offer=DEFLATE)
        peers += room.join(stack, 3, offer=f"{DEFLATE}; server_no_context_takeover")
        peers += room.join(stack, 3, offer=f"{DEFLATE}; server_max_window_bits=9")
        peers += room.join(stack, 2, wrapped=True)
        for _ in range(3):
            if len(text) < 10_000:
                assert room.ask(text=text) == []
            else:
                assert room.ask(words=20_000) == []
            for peer in peers:
                assert peer.message() == text


def test_bytes_reach_all(shared: Serve, library: str) -> None:
    room = Room(shared(APP, library), "bytes")
    with ExitStack() as stack:
        peers = room.join(stack, 3) + room.join(stack, 3, offer=DEFLATE)
        assert room.ask(bytes="ab" * 300) == []
        for peer in peers:
            assert peer.message() == b"ab" * 300


def test_own_messages_and_broadcasts_keep_their_order(shared: Serve, library: str) -> None:
    """And the contexts of compression stay right: a broadcast between messages of their own."""
    room = Room(shared(APP, library), "order")
    with ExitStack() as stack:
        peers = room.join(stack, 2) + room.join(stack, 4, offer=f"{DEFLATE}; client_max_window_bits")
        for number in range(20):
            for index, peer in enumerate(peers):
                text = f"own {number} {index} " + "of its own words " * 20
                if peer.agreed is None:
                    peer.text(text)
                else:
                    peer.send(frame(TEXT, Deflater(peer.agreed)(text.encode()), rsv=4))
                assert peer.message() == text
            assert room.ask(text=f"all {number} " + "of the common words " * 20) == []
            for peer in peers:
                assert peer.message() == f"all {number} " + "of the common words " * 20


def test_broadcasts_to_nobody(shared: Serve, library: str) -> None:
    assert Room(shared(APP, library), "empty").ask(text="hello") == []


def test_closed_ones_are_missed(shared: Serve, library: str) -> None:
    """Those that were closed are named, own and wrapped ones alike; all others get it."""
    room = Room(shared(APP, library), "closed")
    with ExitStack() as stack:
        staying = room.join(stack, 3)
        leaving = room.join(stack, 2)
        leaving += room.join(stack, 1, wrapped=True)
        for peer in leaving:
            peer.send(close_frame(1000))
            assert peer.next().opcode == CLOSE and peer.closed()
        assert room.ask(text="hello", keep="") == [3, 4, 5]
        for peer in staying:
            assert peer.message() == "hello"


def test_one_that_was_not_accepted_yet_is_missed_or_refused(shared: Serve, library: str) -> None:
    """A WebSocket whose handshake is open gets nothing, and the others are not harmed."""
    room = Room(shared(APP, library), "early")
    with ExitStack() as stack:
        [peer] = room.join(stack)
        early = stack.enter_context(Peer(room.server.connect().socket))
        early.ask_upgrade("/join?room=early&early")
        until(lambda: room.size() == 2, "it is there")
        assert room.ask(text="hello") in ([1], "RuntimeError")
        assert early.quiet(0.1)
        assert room.ask(text="again") in ([1], "RuntimeError")
        assert peer.message() in {"hello", "again"}


def test_slow_ones_are_missed_and_nobody_waits(shared: Serve, library: str) -> None:
    """Their memory is bounded; when they read, what they get is whole."""
    room = Room(shared(APP, library, *SLOW), "slow")
    server = room.server
    with ExitStack() as stack:
        [quick] = room.join(stack)
        [slow] = room.join(stack, room=4096)
        memory, began = server.memory(), time.monotonic()
        missed: list[int] = []
        count = 0
        while not missed:
            missed = room.ask(words=20_000)
            assert quick.message() == "word " * 20_000
            count += 1
            assert count < 200, "it is never missed"
        assert missed == [1], "the quick one is not"
        for _ in range(20):
            assert room.ask(words=20_000) == [1]
            assert quick.message() == "word " * 20_000
        assert time.monotonic() - began < 15
        assert server.memory() - memory < 8 << 20
        for _ in range(count - 1):
            assert slow.message() == "word " * 20_000
        until(lambda: room.ask(text="again") == [], "it is taken again")
        while (found := slow.message()) != "again":
            assert found == "word " * 20_000


@pytest.mark.parametrize(
    ("case", "raised"),
    [
        ("both", {"ValueError"}),
        ("neither", {"ValueError"}),
        ("text-of-bytes", {"TypeError"}),
        ("bytes-of-str", {"TypeError"}),
        ("another-type", {"ValueError"}),
        ("no-type", {"ValueError", "KeyError"}),
        ("surrogate", {"UnicodeEncodeError", "ValueError"}),
    ],
)
def test_wrong_messages_raise(shared: Serve, library: str, case: str, raised: set[str]) -> None:
    """Nobody gets anything then, and the WebSockets stay as they are."""
    room = Room(shared(APP, library), f"wrong-{case}")
    with ExitStack() as stack:
        peers = room.join(stack, 2) + room.join(stack, 1, wrapped=True)
        assert room.ask(case=case) in raised
        assert room.ask(text="right") == []
        for peer in peers:
            assert peer.message() == "right"


def test_failure_of_a_wrapped_one_is_not_hidden(shared: Serve, library: str) -> None:
    """What is no OSError comes out of broadcast()."""
    room = Room(shared(APP, library), "failing")
    with ExitStack() as stack:
        room.join(stack, 1)
        assert room.ask(text="hello", foreign="") == "ZeroDivisionError"


def test_hundreds(shared: Serve, library: str) -> None:
    """Of those that have the same parameters the messages are the same bytes."""
    room = Room(shared(APP, library), "hundreds")
    with ExitStack() as stack:
        peers = room.join(stack, 150) + room.join(stack, 150, offer=DEFLATE)
        for turn in range(5):
            assert room.ask(text=f"{turn} " + "word " * 100) == []
        for peer in peers:
            for turn in range(5):
                assert peer.message() == f"{turn} " + "word " * 100


def test_a_generator_of_sends(shared: Serve, library: str) -> None:
    """Any iterable will do."""
    room = Room(shared(APP, library), "generator")
    with ExitStack() as stack:
        peers = room.join(stack, 3)
        assert room.ask(text="hello", generator="") == []
        assert [peer.message() for peer in peers] == ["hello"] * 3


def test_thousands_by_one_task(shared: Serve, library: str) -> None:
    """What one task broadcasts without a pause gets out meanwhile: a client that reads misses nothing."""
    room = Room(shared(APP, library), "thousands")
    with ExitStack() as stack:
        [peer] = room.join(stack)
        with room.server.connect() as client:
            client.request(
                target="/broadcast?" + urlencode({"room": room.name, "times": 20_000, "text": "x"})
            )
            for _ in range(20_000):
                assert peer.exactly(3) == b"\x81\x01x"
            assert json.loads(client.answer().body) == []


def test_broadcasts_that_nobody_takes_let_others_run(shared: Serve, library: str) -> None:
    """A task that broadcasts on and on to a slow client: the server learns that the client reads again."""
    room = Room(shared(APP, library, *SLOW), "nobody")
    with ExitStack() as stack:
        [slow] = room.join(stack, room=4096)
        until(lambda: room.ask(words=20_000) == [0], "it is missed")
        with room.server.connect() as client:
            client.request(
                target="/broadcast?" + urlencode({"room": room.name, "seconds": 5, "text": "again"})
            )
            while (found := slow.message()) != "again":
                assert found == "word " * 20_000
            assert json.loads(client.answer().body) == []

"""Attacks end soon, with the right code, and take neither memory nor the time of others."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from harness import Serve, Server, until
from websocket_client import (
    ACCEPT,
    APP,
    BINARY,
    CLOSE,
    CONNECT,
    CONTINUATION,
    DEFLATE,
    FIELDS,
    PING,
    PONG,
    TAIL,
    TEXT,
    Peer,
    Script,
    close_frame,
    frame,
    reach,
)

NONE_TOO = True
GROWTH = 8 << 20
STUCK = ("--ws-close-timeout", "0.5", "--timeout-write", "2")
SECONDS = 10.0


@contextmanager
def bounded(server: Server, growth: int = GROWTH, seconds: float = SECONDS) -> Iterator[None]:
    """Weigh the server before and after; somebody else is served in the end, and soon."""
    with reach(server) as other:
        other.text("before")
        assert other.message() == "before"
        memory, began = server.memory(), time.monotonic()
        yield
        assert time.monotonic() - began < seconds, "it takes too long"
        asked = time.monotonic()
        other.text("after")
        assert other.message() == "after"
        assert time.monotonic() - asked < 1, "others wait"
        assert server.memory() - memory < growth, f"{server.memory() - memory} bytes more"


def send_until_refused(peer: Peer, data: bytes, most: int) -> int:
    """Send the same bytes until the server has closed, or so many times; returns how many times."""
    for count in range(most):
        try:
            peer.send(data)
        except OSError:
            return count
    return most


def ended_with(server: Server, script: Script, code: int) -> None:
    """The application was told with that code, and of no message."""
    assert script.note(server)["code"] == code


WRONG = {
    "unmasked": (frame(TEXT, b"hello", mask=None), 1002),
    "unmasked-close": (frame(CLOSE, b"\x03\xe8", mask=None), 1002),
    "unmasked-empty": (frame(TEXT, b"", mask=None), 1002),
    "rsv1": (frame(TEXT, b"hello", rsv=4), 1002),
    "rsv2": (frame(TEXT, b"hello", rsv=2), 1002),
    "rsv3": (frame(TEXT, b"hello", rsv=1), 1002),
    "rsv-of-a-ping": (frame(PING, b"hello", rsv=4), 1002),
    "rsv-of-a-close": (frame(CLOSE, b"\x03\xe8", rsv=1), 1002),
    **{f"opcode-{code}": (frame(code, b"hello"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "continuation-of-nothing": (frame(CONTINUATION, b"hello"), 1002),
    "continuation-after-the-end": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION) + frame(CONTINUATION),
        1002,
    ),
    "text-within-a-message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "binary-within-a-message": (frame(BINARY, b"a", fin=False) + frame(BINARY, b"b", fin=False), 1002),
    "ping-in-fragments": (frame(PING, b"a", fin=False), 1002),
    "close-in-fragments": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "long-ping": (frame(PING, b"a" * 126), 1002),
    "long-ping-announced": (frame(PING, b"", length=1 << 40, size=64), 1002),
    "long-pong": (frame(PONG, b"a" * 126), 1002),
    "long-close": (frame(CLOSE, b"\x03\xe8" + b"a" * 124), 1002),
    "negative-length": (struct.pack("!BBQ", 0x82, 0xFF, 1 << 63) + b"\0\0\0\0", 1002),
    "largest-length": (struct.pack("!BBQ", 0x82, 0xFF, (1 << 63) - 1) + b"\0\0\0\0", 1009),
    "http": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1002),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_frames(shared: Serve, library: str, case: str) -> None:
    """What came before is delivered; then the application is told why it ended."""
    data, code = WRONG[case]
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(TEXT, b"good") + data)
        assert peer.failed() == code
    messages = script.noted(server, 2)
    whole = [event["text"] for event in messages[:-1]]
    assert whole[0] == "good" and messages[-1]["code"] == code
    assert whole[1:] == ["a"] * (case == "continuation-after-the-end")


@pytest.mark.parametrize("case", ["unmasked", "rsv2", "opcode-3", "long-ping-announced", "largest-length"])
def test_wrong_frames_fail_at_their_head(shared: Serve, library: str, case: str) -> None:
    """The payload is not waited for."""
    data, code = WRONG[case]
    with reach(shared(APP, library)) as peer:
        peer.send(data[: 2 if case in {"unmasked", "rsv2", "opcode-3"} else 14])
        assert peer.failed() == code


def test_what_follows_a_failure_is_not_read(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(3) + frame(TEXT, b"after") * 100)
        assert peer.failed() == 1002
    assert [event["type"] for event in script.noted(server)] == ["websocket.disconnect"]


@pytest.mark.parametrize("length", [(16 << 20) + 1, 1 << 31, (1 << 32) + 5, 1 << 62])
def test_announced_length_that_is_too_large(shared: Serve, library: str, length: int) -> None:
    """1009 before a byte of it is kept."""
    server = shared(APP, library)
    script = Script(CONNECT, ACCEPT, ["drain"])
    with bounded(server), reach(server, script.target) as peer:
        peer.send(frame(BINARY, b"", length=length, size=64))
        assert peer.failed() == 1009
    ended_with(server, script, 1009)


def test_announced_lengths_take_no_memory(shared: Serve, library: str) -> None:
    """A hundred clients announce the largest message that there may be, and send none of it."""
    server = shared(APP, library)
    with bounded(server, 8 << 20), ExitStack() as stack:
        for _ in range(100):
            peer = stack.enter_context(reach(server))
            peer.send(frame(BINARY, b"a few bytes", length=16 << 20, size=64))


@pytest.mark.parametrize("size", [1000, 100_000])
def test_limit_of_a_message(shared: Serve, library: str, size: int) -> None:
    """To the byte, in one frame and in many."""
    server = shared(APP, library, "--ws-max-size", str(size))
    half = size // 2
    with reach(server) as peer:
        peer.binary(bytes(size))
        assert peer.message() == bytes(size)
        peer.send(frame(BINARY, bytes(half), fin=False) + frame(CONTINUATION, bytes(size - half)))
        assert peer.message() == bytes(size)
        peer.send(frame(BINARY, bytes(half), fin=False) + frame(CONTINUATION, bytes(size - half + 1)))
        assert peer.failed() == 1009
    with reach(server) as peer:
        peer.binary(bytes(size + 1))
        assert peer.failed() == 1009


def test_fragments_that_are_too_large_together(shared: Serve, library: str) -> None:
    """Each is small; the sum is looked at with each head."""
    server = shared(APP, library, "--ws-max-size", "1000000")
    script = Script(CONNECT, ACCEPT, ["drain"])
    with bounded(server), reach(server, script.target) as peer:
        peer.send(frame(BINARY, bytes(50_000), fin=False))
        send_until_refused(peer, frame(CONTINUATION, bytes(50_000), fin=False), 1000)
        ended_with(server, script, 1009)
        assert peer.failed() == 1009


def bomb(size: int) -> bytes:
    """Return zeros, compressed about a thousand times."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(size >> 20))
    return (packed + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


OFFER = f"{DEFLATE}; client_max_window_bits"


def test_decompression_bomb(shared: Serve, library: str) -> None:
    """A gigabyte of zeros in a megabyte: the limit holds while it is inflated."""
    server = shared(APP, library)
    packed = bomb(1 << 30)
    with bounded(server, 24 << 20, 20), ExitStack() as stack:
        for _ in range(3):
            script = Script(CONNECT, ACCEPT, ["drain"])
            peer = stack.enter_context(reach(server, script.target, offer=DEFLATE))
            send_until_refused(peer, frame(BINARY, packed, rsv=4), 1)
            ended_with(server, script, 1009)


def test_decompression_bomb_in_fragments(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    script = Script(CONNECT, ACCEPT, ["drain"])
    packed = bomb(64 << 20)
    with bounded(server, 24 << 20), reach(server, script.target, offer=DEFLATE) as peer:
        for at in range(0, len(packed), 500):
            piece = frame(CONTINUATION if at else TEXT, packed[at : at + 500], fin=False, rsv=0 if at else 4)
            if send_until_refused(peer, piece, 1) == 0:
                break
        ended_with(server, script, 1009)


def test_limit_of_a_message_counts_what_is_inflated(shared: Serve, library: str) -> None:
    """To the byte: as large as may be is delivered, a byte more is not."""
    server = shared(APP, library, "--ws-max-size", "100000")
    for size, good in ((100_000, True), (100_001, False)):
        with reach(server, offer=DEFLATE) as peer:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -9)
            packed = deflate.compress(bytes(size)) + deflate.flush(zlib.Z_SYNC_FLUSH)
            peer.send(frame(BINARY, packed.removesuffix(TAIL), rsv=4))
            if good:
                assert peer.message() == bytes(size)
            else:
                assert peer.failed() == 1009


def test_million_fragments_of_one_byte(shared: Serve, library: str) -> None:
    """They take the memory of a message of a megabyte, not that of a million objects."""
    server = shared(APP, library, "--ws-max-fragments", "0")
    piece = frame(CONTINUATION, b"x", fin=False) * 10_000
    with bounded(server, 12 << 20, 20), reach(server) as peer:
        peer.send(frame(BINARY, b"x", fin=False))
        for _ in range(100):
            peer.send(piece)
        peer.send(frame(CONTINUATION, b"x"))
        assert peer.message() == b"x" * 1_000_002


@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "one-byte"])
def test_endless_fragments(shared: Serve, library: str, payload: bytes) -> None:
    """1008 at the limit of the frames of a message, if they hold nothing or little."""
    server = shared(APP, library)
    script = Script(CONNECT, ACCEPT, ["drain"])
    with bounded(server, seconds=20), reach(server, script.target) as peer:
        peer.send(frame(BINARY, payload, fin=False))
        send_until_refused(peer, frame(CONTINUATION, payload, fin=False) * 1000, 400)
        ended_with(server, script, 1008)
        assert peer.failed() == 1008


def test_client_that_goes_on_after_a_failure(shared: Serve, library: str) -> None:
    """What it sends is thrown away for as long as the close may take, and then it is cut off."""
    server = shared(APP, library, "--ws-close-timeout", "0.5")
    script = Script(CONNECT, ACCEPT, ["drain"])
    with bounded(server), reach(server, script.target) as peer:
        peer.send(frame(3))
        began = time.monotonic()
        while time.monotonic() < began + 5 and send_until_refused(peer, frame(BINARY, bytes(50_000)), 1):
            time.sleep(0.005)
        assert time.monotonic() - began < 3
    ended_with(server, script, 1002)


def test_limit_of_fragments(shared: Serve, library: str) -> None:
    """So many are taken, for each message anew; one more is not."""
    server = shared(APP, library, "--ws-max-fragments", "10")
    ten = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"a", fin=False) * 8 + frame(CONTINUATION, b"a")
    with reach(server) as peer:
        for _ in range(3):
            peer.send(ten)
            assert peer.message() == "a" * 10
        peer.send(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"a", fin=False) * 10)
        assert peer.failed() == 1008


def test_ping_flood_of_a_client_that_does_not_read(shared: Serve, library: str) -> None:
    """The pongs that it does not take are not kept: memory stays flat, without any limit of the rate."""
    server = shared(APP, library, "--ws-max-control-rate", "0")
    with bounded(server, 2 << 20, 30), reach(server, room=2048) as peer:
        pings = frame(PING, b"p" * 125) * 500
        for _ in range(600):
            peer.send(pings)  # 40 MB in all, whose pongs fit nowhere
        time.sleep(0.2)


def test_ping_flood_of_a_client_that_reads(shared: Serve, library: str) -> None:
    """Pongs come, the last of them for the last ping; a message behind the flood is answered."""
    server = shared(APP, library, "--ws-max-control-rate", "0")
    with bounded(server, 2 << 20, 30), reach(server) as peer:
        for turn in range(20):
            peer.send(
                b"".join(frame(PING, b"%d" % number) for number in range(1000)) + frame(TEXT, b"%d" % turn)
            )
            pongs = []
            found = peer.read()
            while found.opcode == PONG:
                pongs.append(int(found.payload))
                found = peer.read()
            assert found.payload == b"%d" % turn
            assert pongs == sorted(set(pongs))
        peer.send(frame(PING, b"last"))
        assert peer.read().payload == b"last"


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["pings", "pongs"])
def test_control_rate(shared: Serve, library: str, opcode: int) -> None:
    """Up to the limit all is well, second by second; above it the WebSocket ends with 1008."""
    server = shared(APP, library, "--ws-max-control-rate", "50")
    script = Script(CONNECT, ACCEPT, ["drain"])
    with reach(server, script.target) as peer:
        for _ in range(3):
            peer.send(frame(opcode, b"x") * 25)
            time.sleep(1.05)
        assert script.notes(server) == []
        peer.send(frame(opcode, b"x") * 200)
        assert peer.failed() == 1008
    ended_with(server, script, 1008)


def test_control_rate_by_default(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    script = Script(CONNECT, ACCEPT, ["drain"])
    with bounded(server), reach(server, script.target) as peer:
        peer.send(frame(PING) * 900)
        time.sleep(0.1)
        assert script.notes(server) == []
        send_until_refused(peer, frame(PING) * 100, 100)
        ended_with(server, script, 1008)


def test_half_open_peer(shared: Serve, library: str) -> None:
    """No pong comes: the connection ends after interval and timeout, and the application is told 1011."""
    server = shared(APP, library, "--ws-ping-interval", "0.4", "--ws-ping-timeout", "0.4")
    script = Script(CONNECT, ACCEPT, ["drain"])
    began = time.monotonic()
    with reach(server, script.target) as peer:
        event = script.note(server)
        took = time.monotonic() - began
        assert event["code"] == 1011 and "ping" in event["reason"], event
        assert 0.7 < took < 3
        assert peer.read().opcode == PING
        assert peer.gone(5)


def test_many_half_open_peers(shared: Serve, library: str) -> None:
    """Each in the midst of a large message: all end in time, and all that they had is given back, to the next ones."""
    server = shared(APP, library, "--ws-ping-interval", "0.4", "--ws-ping-timeout", "0.4")
    half_open(server, 40)
    memory = server.memory()
    half_open(server, 40)
    assert server.memory() - memory < GROWTH


def half_open(server: Server, count: int) -> None:
    """Begin a large message on so many connections, and wait until the server has given them up."""
    before, began = server.descriptors(), time.monotonic()
    with ExitStack() as stack:
        for _ in range(count):
            peer = stack.enter_context(reach(server))
            peer.send(frame(BINARY, bytes(400_000), length=10_000_000))
        until(lambda: server.descriptors() <= before, "the descriptors are back")
        assert time.monotonic() - began < 5


def test_peers_that_talk_on_instead_of_closing(shared: Serve, library: str) -> None:
    """Nothing of what they send behind our close frame is kept, and they are cut off."""
    server = shared(APP, library, "--ws-close-timeout", "0.5")
    close = ["send", {"type": "websocket.close", "code": 4006}]
    with bounded(server), ExitStack() as stack:
        before = server.descriptors()
        peers = [stack.enter_context(reach(server, Script(CONNECT, ACCEPT, close).target)) for _ in range(30)]
        for peer in peers:
            assert peer.closing()[0] == 4006
            send_until_refused(peer, frame(BINARY, bytes(50_000)), 20)
        until(lambda: server.descriptors() <= before, "the descriptors are back")


def test_half_open_peers_with_messages_stuck(shared: Serve, library: str) -> None:
    """A client that takes nothing any more, so that not even the ping gets out; send() fails."""
    server = shared(APP, library, "--ws-ping-interval", "0.3", "--ws-ping-timeout", "0.4", *STUCK)
    script = Script(CONNECT, ACCEPT, ["flood", 60_000, 100_000])
    before = server.descriptors()
    with reach(server, script.target, room=2048):
        assert script.note(server)[1] == "ClientDisconnected"
        until(lambda: server.descriptors() <= before, "the descriptor is given back", 8)


def test_failure_of_a_client_that_does_not_read(shared: Serve, library: str) -> None:
    """The close frame is stuck behind messages that nobody takes: the connection goes all the same."""
    server = shared(APP, library, "--ws-ping-interval", "0", *STUCK)
    script = Script(CONNECT, ACCEPT, ["flood", 60_000, 100_000])
    before = server.descriptors()
    with reach(server, script.target, room=2048) as peer:
        time.sleep(0.3)
        peer.send(frame(3))
        assert script.note(server)[1] == "ClientDisconnected"
        until(lambda: server.descriptors() <= before, "the descriptor is given back", 8)


def test_pongs_with_a_wrong_payload_are_no_answer_or_one(shared: Serve, library: str) -> None:
    """Either reading of them ends: any bytes show that the client lives, or only the right ones do."""
    server = shared(APP, library, "--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.3")
    with reach(server) as peer:
        deadline = time.monotonic() + 1.2
        while time.monotonic() < deadline:
            found = peer.read()
            if found.opcode == CLOSE:
                assert found.code == 1011
                return
            peer.send(frame(PONG, b"something else"))


def test_many_that_never_finish_the_handshake(shared: Serve, library: str) -> None:
    """Heads without an end fall to the deadline of every request's head."""
    server = shared(APP, library, "--timeout-request-head", "0.5")
    before = server.descriptors()
    with ExitStack() as stack:
        for _ in range(50):
            peer = stack.enter_context(Peer(server.connect().socket))
            peer.send(b"GET /echo HTTP/1.1\r\n" + "\r\n".join(f"{k}: {v}" for k, v in FIELDS).encode())
        until(lambda: server.descriptors() >= before + 50, "they are there")
        until(lambda: server.descriptors() <= before, "they are gone", 5)


def talk_too_early(peer: Peer, target: str) -> int:
    """Ask for a WebSocket and send messages before the answer, until nobody takes more or the connection ends."""
    peer.ask_upgrade(target)
    peer.socket.setblocking(False)
    total, stuck = 0, 0
    data = frame(BINARY, bytes(100_000))
    while total < 64 << 20 and stuck < 25:
        try:
            total += peer.socket.send(data)
            stuck = 0
        except BlockingIOError:
            stuck += 1
            time.sleep(0.01)
        except OSError:
            break
    return total


def test_bytes_without_end_before_the_accept(shared: Serve, library: str) -> None:
    """A client that talks before it is accepted is refused: what it sends is not kept, and the application is told."""
    server = shared(APP, library)
    script = Script(CONNECT, ["note"])
    with bounded(server, 4 << 20), Peer(server.connect().socket) as peer:
        talk_too_early(peer, script.target)
        assert script.note(server)["code"] == 1006


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_talks_before_the_accept_and_goes(own: Serve, library: str, how: str) -> None:
    """The application is told, nothing is held, and the server can stop."""
    server = own(APP, library)
    before = server.descriptors()
    script = Script(CONNECT, ["note"])
    peer = Peer(server.connect().socket)
    talk_too_early(peer, script.target)
    if how == "close":
        peer.close()
    else:
        peer.reset()
    until(lambda: server.descriptors() <= before, "the descriptor is given back", 5)
    assert script.note(server)["code"] == 1006
    assert server.stop() == 0


def test_many_connections_in_every_state(shared: Serve, library: str) -> None:
    """Hundreds of clients stop in the middle of something and vanish: all is given back."""
    server = shared(APP, library)
    parts = [b"", b"\x81", frame(TEXT, b"a", length=500), frame(TEXT, b"a", fin=False), close_frame()[:3]]
    before = server.descriptors()
    with bounded(server):
        for number in range(300):
            peer = reach(server, offer=DEFLATE if number % 2 else None)
            peer.send(parts[number % len(parts)])
            if number % 3:
                peer.reset()
            else:
                peer.close()
        until(lambda: server.descriptors() <= before + 1, "the descriptors are back")

"""Messages in both directions: RFC 6455 §5 and the statements about websocket.receive and websocket.send."""

from __future__ import annotations

import random
from typing import Any

import pytest
from harness import Serve
from websocket_client import (
    ACCEPT,
    APP,
    BINARY,
    CONNECT,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    Script,
    close_frame,
    ended,
    frame,
    reach,
    said,
    sends,
)

NONE_TOO = True
PLAIN = "--no-ws-per-message-deflate"
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537, 1_000_003]


@pytest.mark.parametrize("size", SIZES)
def test_W2_messages_of_every_size(shared: Serve, library: str, size: int) -> None:
    rng = random.Random(size)
    data, text = rng.randbytes(size), "".join(rng.choices("aé€𝄞", k=size))
    with reach(shared(APP, library), "/echo") as peer:
        peer.binary(data)
        assert peer.message() == data
        peer.text(text)
        assert peer.message() == text
        assert peer.leave() == (1000, "")


def test_W6_both_keys_are_there(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.text("text")
        peer.binary(b"\0\xff")
        peer.text("")
        peer.binary(b"")
        peer.leave()
    expected = [said("text"), said(None, b"\0\xff"), said(""), said(None, b""), ended(1000)]
    assert script.noted(server, 5) == expected


def test_W2_order_is_kept(shared: Serve, library: str) -> None:
    """Texts and bytes, many in one segment."""
    with reach(shared(APP, library)) as peer:
        for _ in range(20):
            peer.send(b"".join(frame(TEXT + number % 2, b"%d" % number) for number in range(100)))
            got = [peer.message() for _ in range(100)]
            assert got == [b"%d" % number if number % 2 else str(number) for number in range(100)]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_W2_fragments_are_put_together(shared: Serve, library: str, size: int) -> None:
    text = "κόσμε 𝄞 " * 100
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    with reach(shared(APP, library)) as peer:
        for opcode in (TEXT, BINARY):
            last = len(pieces) - 1
            for number, piece in enumerate(pieces):
                peer.send(frame(CONTINUATION if number else opcode, piece, fin=number == last))
            assert peer.message() == (text if opcode == TEXT else data)


def test_W2_empty_fragments(shared: Serve, library: str) -> None:
    with reach(shared(APP, library)) as peer:
        peer.send(frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION))
        assert peer.message() == ""
        peer.send(frame(TEXT, fin=False) + frame(CONTINUATION, b"a", fin=False) + frame(CONTINUATION))
        assert peer.message() == "a"


def test_W2_control_frames_between_fragments(shared: Serve, library: str) -> None:
    """A ping is answered before the message is complete."""
    with reach(shared(APP, library)) as peer:
        peer.send(frame(TEXT, b"one ", fin=False) + frame(PING, b"now"))
        assert peer.read().payload == b"now"
        peer.send(frame(CONTINUATION, b"two ", fin=False) + frame(PONG, b"nobody asked"))
        peer.send(frame(CONTINUATION, b"three"))
        assert peer.message() == "one two three"


def test_close_between_fragments(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(TEXT, b"never whole", fin=False))
        assert peer.leave(1001) == (1001, "")
    assert script.noted(server) == [ended(1001)]


@pytest.mark.parametrize("payload", [b"", b"x", b"\0" * 125], ids=["empty", "short", "longest"])
def test_W2_ping_is_answered_with_its_payload(shared: Serve, library: str, payload: bytes) -> None:
    """Even when the application receives nothing at that time."""
    script = Script(CONNECT, ACCEPT, ["take"], ["echo"])
    with reach(shared(APP, library), script.target) as peer:
        peer.send(frame(PING, payload))
        answer = peer.read()
        assert (answer.opcode, answer.payload) == (PONG, payload)


def test_pongs_that_nobody_asked_for(shared: Serve, library: str) -> None:
    with reach(shared(APP, library)) as peer:
        for payload in (b"", b"x" * 125):
            peer.send(frame(PONG, payload))
        peer.text("still")
        assert peer.message() == "still" and peer.pongs == 0


def test_W2_pings_are_sent(shared: Serve, library: str) -> None:
    """An answer keeps the WebSocket open, and so does data of any kind."""
    server = shared(APP, library, "--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.4")
    with reach(server) as peer:
        for _ in range(5):
            ping = peer.read()
            assert ping.opcode == PING
            peer.send(frame(PONG, ping.payload))
        peer.text("open")
        assert peer.message() == "open"


def test_data_in_the_place_of_a_pong(shared: Serve, library: str) -> None:
    """A client that sends is alive, though its pong waits behind a long message."""
    server = shared(APP, library, "--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.4")
    with reach(server) as peer:
        peer.send(frame(BINARY, bytes(100), length=100_000))
        for _ in range(12):
            peer.quiet(0.1)
            peer.send(bytes(8000))
        peer.send(bytes(100_000 - 12 * 8000 - 100))
        found = peer.next()
        assert len(found.payload) == 100_000


@pytest.mark.parametrize("interval", ["0", "none"])
def test_no_pings_when_they_are_off(shared: Serve, library: str, interval: str) -> None:
    with reach(shared(APP, library, "--ws-ping-interval", interval)) as peer:
        assert peer.quiet(0.5)


BAD_UTF8 = {
    "lone-continuation": b"\x80",
    "overlong-slash": b"\xc0\xaf",
    "overlong-three": b"\xe0\x9f\xbf",
    "overlong-four": b"\xf0\x8f\xbf\xbf",
    "surrogate": b"\xed\xa0\x80",
    "beyond-unicode": b"\xf4\x90\x80\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "ff": b"\xff",
    "cut-in-two": b"\xe2\x82a",
}


@pytest.mark.parametrize("case", BAD_UTF8)
def test_text_that_is_not_utf8(shared: Serve, library: str, case: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(TEXT, "schön".encode() + BAD_UTF8[case] + b"more"))
        assert peer.failed() == 1007
    assert script.note(server)["code"] == 1007


@pytest.mark.parametrize("case", sorted(set(BAD_UTF8) - {"cut-in-two"}))
def test_utf8_fails_at_the_first_bad_byte(shared: Serve, library: str, case: str) -> None:
    """Within a frame that is far from complete, and in a fragment before the last."""
    bad = BAD_UTF8[case]
    for head in (frame(TEXT, b"ab" + bad, length=1000), frame(TEXT, b"ab" + bad, fin=False)):
        with reach(shared(APP, library)) as peer:
            peer.send(head)
            assert peer.failed() == 1007


@pytest.mark.parametrize("opcode", [TEXT, CONTINUATION], ids=["one-frame", "fragments"])
def test_text_that_ends_within_a_character(shared: Serve, library: str, opcode: int) -> None:
    with reach(shared(APP, library)) as peer:
        if opcode == CONTINUATION:
            peer.send(frame(TEXT, b"ab\xe2", fin=False))
        peer.send(frame(opcode, b"\x82"[opcode:] or b"ab\xe2\x82"))
        assert peer.failed() == 1007


def test_characters_cut_between_frames_and_segments(shared: Serve, library: str) -> None:
    data = "𝄞€é".encode()
    with reach(shared(APP, library)) as peer:
        for cut in range(len(data) + 1):
            for byte in frame(TEXT, data[:cut], fin=False) + frame(CONTINUATION, data[cut:]):
                peer.send(bytes([byte]))
            assert peer.message() == "𝄞€é"


@pytest.mark.parametrize("kind", ["text", "bytes", "bytearray", "memoryview"])
def test_W6_what_the_application_may_send(shared: Serve, library: str, kind: str) -> None:
    server = shared("websocket_tasks:app", library)
    with reach(server, f"/kind?kind={kind}") as peer:
        assert peer.message() == ("schön" if kind == "text" else b"sch\xc3\xb6n")


GOOD_MESSAGES: dict[str, tuple[dict[str, Any], str | bytes]] = {
    "text": ({"text": "a"}, "a"),
    "bytes": ({"bytes": b"a"}, b"a"),
    "text-and-none": ({"text": "a", "bytes": None}, "a"),
    "bytes-and-none": ({"bytes": b"a", "text": None}, b"a"),
    "empty-text": ({"text": ""}, ""),
    "empty-bytes": ({"bytes": b""}, b""),
    "empty-bytes-and-none": ({"bytes": b"", "text": None}, b""),
    "extra-keys": ({"text": "a", "later": 1}, "a"),
    "nul": ({"text": "a\0b"}, "a\0b"),
    "astral": ({"text": "𝄞"}, "𝄞"),
}


@pytest.mark.parametrize("case", GOOD_MESSAGES)
def test_W6_G5_messages(shared: Serve, library: str, case: str) -> None:
    message, expected = GOOD_MESSAGES[case]
    script = Script(CONNECT, ACCEPT, ["send", {"type": "websocket.send", **message}], ["echo"])
    with reach(shared(APP, library), script.target) as peer:
        assert peer.message() == expected


BAD_MESSAGES: dict[str, Any] = {
    "neither": {"type": "websocket.send"},
    "both-none": {"type": "websocket.send", "text": None, "bytes": None},
    "both": {"type": "websocket.send", "text": "a", "bytes": b"a"},
    "both-empty": {"type": "websocket.send", "text": "", "bytes": b""},
    "text-of-bytes": {"type": "websocket.send", "text": b"a"},
    "text-of-int": {"type": "websocket.send", "text": 5},
    "bytes-of-str": {"type": "websocket.send", "bytes": "a"},
    "bytes-of-int": {"type": "websocket.send", "bytes": 5},
    "bytes-of-list": {"type": "websocket.send", "bytes": [1, 2]},
    "surrogate": {"type": "websocket.send", "text": "\ud800"},
    "no-type": {"text": "a"},
    "type-of-int": {"type": 5},
    "type-of-bytes": {"type": b"websocket.send", "text": "a"},
    "unknown-type": {"type": "websocket.ping"},
    "type-of-http": {"type": "http.response.body", "body": b"a"},
    "receive": {"type": "websocket.receive", "text": "a"},
    "denial": {"type": "websocket.http.response.start", "status": 200, "headers": []},
    "not-a-dict": ["websocket.send"],
    "none": None,
    "code-of-str": {"type": "websocket.close", "code": "1000"},
    "code-of-float": {"type": "websocket.close", "code": 1000.0},
    "reason-of-bytes": {"type": "websocket.close", "reason": b"bye"},
    "reason-of-int": {"type": "websocket.close", "reason": 5},
    "reason-too-long": {"type": "websocket.close", "reason": "é" * 62},
    "reason-surrogate": {"type": "websocket.close", "reason": "\udfff"},
    **{
        f"code-{code}": {"type": "websocket.close", "code": code}
        for code in (-1, 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536 + 1000, 2**70)
    },
}


@pytest.mark.parametrize("case", BAD_MESSAGES)
def test_G4_W6_wrong_messages_raise_out_of_send(shared: Serve, library: str, case: str) -> None:
    """And nothing else happens: the WebSocket goes on."""
    script = Script(CONNECT, ACCEPT, ["try", BAD_MESSAGES[case]], sends("still"), ["echo"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        assert peer.message() == "still"
        raised = script.note(server)
        assert {"ValueError", "TypeError", "RuntimeError", "KeyError"} & set(raised), raised
        assert "OSError" not in raised
        peer.text("and on")
        assert peer.message() == "and on"


def test_many_messages_of_the_application_arrive_in_order(shared: Serve, library: str) -> None:
    steps = [sends(str(number)) if number % 3 else sends(None, b"%d" % number) for number in range(60)]
    script = Script(CONNECT, ACCEPT, *steps)
    with reach(shared(APP, library), script.target) as peer:
        for number in range(60):
            assert peer.message() == (str(number) if number % 3 else b"%d" % number)
        assert peer.failed() == 1000


def test_segments_at_every_cut(shared: Serve, library: str) -> None:
    """However the bytes are cut, the same is read from them."""
    data = (
        frame(TEXT, b"one")
        + frame(PING, b"p")
        + frame(BINARY, b"x" * 130)
        + frame(TEXT, b"t", fin=False)
        + frame(CONTINUATION, b"u")
        + close_frame(3000, "why")
    )
    server = shared(APP, library)
    for cut in range(1, len(data), 7):
        with reach(server) as peer:
            peer.send(data[:cut])
            peer.quiet(0.001)
            peer.send(data[cut:])
            assert [peer.message() for _ in range(3)] == ["one", b"x" * 130, "tu"]
            assert peer.closing() == (3000, "why") and peer.closed() and peer.pongs == 1


@pytest.mark.parametrize("size", [16, 64])
def test_lengths_in_more_bytes_than_they_need(shared: Serve, library: str, size: int) -> None:
    """RFC 6455 §5.2 asks for the shortest form; such a frame is refused, or read as what it is."""
    with reach(shared(APP, library)) as peer:
        peer.send(frame(TEXT, b"hello", size=size))
        found = peer.next()
        assert found.payload == b"hello" or found.code == 1002


def test_masks_of_every_kind(shared: Serve, library: str) -> None:
    """Masks of zeros and ones, at every length up to a few machine words."""
    with reach(shared(APP, library)) as peer:
        for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4"):
            for size in range(70):
                data = bytes(range(size))
                peer.send(frame(BINARY, data, mask=mask))
                assert peer.message() == data


def test_many_at_once(shared: Serve, library: str) -> None:
    """Hundreds of WebSockets, each with its own messages."""
    server = shared(APP, library)
    peers = [reach(server) for _ in range(200)]
    try:
        for turn in range(3):
            for number, peer in enumerate(peers):
                peer.text(f"{number}-{turn}")
            for number, peer in enumerate(peers):
                assert peer.message() == f"{number}-{turn}"
        for peer in peers:
            assert peer.leave() == (1000, "")
    finally:
        for peer in peers:
            peer.close()


def test_uncompressed_without_an_offer(shared: Serve, library: str) -> None:
    with reach(shared(APP, library, PLAIN)) as peer:
        assert isinstance(peer, Peer) and peer.agreed is None
        peer.text("a" * 1000)
        found = peer.next()
        assert found.payload == b"a" * 1000 and not found.compressed

"""The adapters to wsproto and websockets by themselves: bytes in, events and bytes out."""

from __future__ import annotations

import gc
import os
import tracemalloc
import weakref
import zlib
from typing import Any

import pytest
import wsproto.frame_protocol
from websockets.protocol import Protocol
from websockets.sync.client import connect

import tricorn
from tricorn.config import Config
from tricorn.errors import StartupError
from tricorn.protocols import websocket, ws_websockets, ws_wsproto
from tricorn.protocols.websocket import Close, Event, Fail, Message, Ping, Pong, Settings

SETTINGS = Settings(1000, 4, True, False, False, 12, 2, 5, 16)
ADAPTERS: dict[str, Any] = {"wsproto": ws_wsproto.Frames, "websockets": ws_websockets.Frames}
READERS: dict[str, type] = {"wsproto": wsproto.frame_protocol.FrameProtocol, "websockets": Protocol}

pytestmark = pytest.mark.parametrize("name", ADAPTERS)


def frame(first: int, payload: bytes) -> bytes:
    """Return a frame of a client that masks with zeros."""
    n = len(payload)
    head = bytes([first, 0x80 | n]) if n < 126 else bytes([first, 0xFE]) + n.to_bytes(2, "big")
    return head + bytes(4) + payload


def read(frames: Any, *pieces: bytes) -> list[Event]:
    """Return the events of bytes."""
    events: list[Event] = []
    for piece in pieces:
        assert frames.recv(piece) is None
        while (event := frames.next_event()) is not None:
            events.append(event)
    return events


def packed(data: bytes) -> bytes:
    """Compress a message by itself."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -9)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_events(name: str) -> None:
    data = frame(0x81, b"a") + frame(0x89, b"p") + frame(0x02, b"b") + frame(0x8A, b"q") + frame(0x80, b"c")
    data += frame(0x88, b"\x0f\xa0why") + frame(0x81, b"late")
    expected = [Message("a"), Ping(b"p"), Pong(b"q"), Message(b"bc"), Close(4000, "why")]
    assert read(ADAPTERS[name](SETTINGS), data) == expected
    assert read(ADAPTERS[name](SETTINGS), *(data[at : at + 1] for at in range(len(data)))) == expected
    assert read(ADAPTERS[name](SETTINGS), frame(0x88, b"")) == [Close(1005, "")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0x82, bytes(1001)), 1009),
        (frame(0x02, bytes(600)) + frame(0x80, bytes(401)), 1009),
        (frame(0x01, "é".encode() * 300) + frame(0x80, "é".encode() * 201), 1009),
        (frame(0x01, b"") + 4 * frame(0x00, b""), 1008),
        (frame(0x83, b""), 1002),
        (frame(0x81, b"\xff"), 1007),
    ],
)
def test_failures(name: str, data: bytes, code: int) -> None:
    """The last event, whatever comes behind it."""
    assert read(ADAPTERS[name](SETTINGS), data + frame(0x81, b"late")) == [Fail(code)]


def test_as_much_as_may_be(name: str) -> None:
    for data in (frame(0x82, bytes(1000)), frame(0x02, b"") + 2 * frame(0x00, bytes(500)) + frame(0x80, b"")):
        assert read(ADAPTERS[name](SETTINGS), data * 2) == [Message(bytes(1000))] * 2


@pytest.mark.skipif(
    "TRICORN_TEST_SANITIZED" in os.environ,
    reason="what traces memory in Python keeps some of its own for ever",
)
@pytest.mark.parametrize("first", [0x81, 0x82], ids=["text", "binary"])
def test_few_bytes_with_each_read(name: str, first: int) -> None:
    """A message in thousands of small pieces takes little more than its bytes while it waits for the last."""
    data = frame(first, "né".encode() * 20_000)
    frames = ADAPTERS[name](SETTINGS._replace(max_size=100_000))
    tracemalloc.start()
    try:
        assert read(frames, *(data[at : at + 3] for at in range(0, len(data) - 3, 3))) == []
        assert tracemalloc.get_traced_memory()[0] < 4 * len(data)
    finally:
        tracemalloc.stop()
    tail = data[-((len(data) - 1) % 3 + 1) :]
    (event,) = read(frames, tail)
    assert event == Message("né" * 20_000 if first == 0x81 else "né".encode() * 20_000)


def test_what_is_sent(name: str) -> None:
    frames = ADAPTERS[name](SETTINGS)
    assert frames.submit_message("é") == b"\x81\x02\xc3\xa9"
    assert frames.submit_message(b"ab") == b"\x82\x02ab"
    assert frames.submit_ping(b"p") == b"\x89\x01p" and frames.submit_pong(b"q") == b"\x8a\x01q"
    assert frames.submit_close(1005, "") == b"\x88\x00"
    assert frames.submit_close(4000, "é") == b"\x88\x04\x0f\xa0\xc3\xa9"
    assert type(frames.submit_message("a" * 5000)) is bytes


def test_what_is_sent_after_the_clients_close(name: str) -> None:
    """The application may still answer what came before."""
    frames = ADAPTERS[name](SETTINGS)
    assert read(frames, frame(0x88, b"\x03\xe8")) == [Close(1000, "")]
    assert frames.submit_message("a") == b"\x81\x01a"
    assert frames.submit_close(1000, "") == b"\x88\x02\x03\xe8"


def test_compression(name: str) -> None:
    """Both ways; what is short is sent as it is."""
    frames = ADAPTERS[name](SETTINGS)
    assert "permessage-deflate" in (frames.negotiate("foo, permessage-deflate; client_max_window_bits") or "")
    assert read(frames, frame(0xC1, packed(b"hello")), frame(0x81, b"plain")) == [
        Message("hello"),
        Message("plain"),
    ]
    inflate = zlib.decompressobj(-12)
    for text in ("a" * 16, "b" * 1000):
        sent = frames.submit_message(text)
        assert sent[0] == 0xC1 and sent[1] == len(sent) - 2
        assert inflate.decompress(sent[2:] + b"\0\0\xff\xff") == text.encode()
    assert frames.submit_message("a" * 15) == b"\x81\x0f" + b"a" * 15
    assert read(frames, frame(0xC2, packed(bytes(100_000)))) == [Fail(1009)]


@pytest.mark.parametrize("offers", ["foo", "", ";;=", "permessage-deflate; server_max_window_bits=99"])
def test_offers_that_nobody_can_make(name: str, offers: str) -> None:
    assert ADAPTERS[name](SETTINGS).negotiate(offers) is None


def test_compression_that_is_switched_off(name: str) -> None:
    assert ADAPTERS[name](SETTINGS._replace(deflate=False)).negotiate("permessage-deflate") is None


def test_takeovers(name: str) -> None:
    """Our own wishes are in the answer, and kept."""
    frames = ADAPTERS[name](SETTINGS._replace(no_context=True, client_no_context=True))
    answer = frames.negotiate("permessage-deflate")
    assert "server_no_context_takeover" in answer and "client_no_context_takeover" in answer
    assert frames.submit_message("a" * 100) == frames.submit_message("a" * 100)
    assert read(frames, frame(0xC1, packed(b"a")), frame(0xC1, packed(b"b"))) == [Message("a"), Message("b")]


@pytest.mark.parametrize(
    "data", [b"", frame(0x81, b"a"), frame(0x82, bytes(2000)), frame(0x83, b""), frame(0x88, b"")]
)
def test_nothing_waits_for_the_collector(name: str, data: bytes) -> None:
    """What a WebSocket has read goes with it."""
    gc.collect()
    gc.disable()
    try:
        frames = ADAPTERS[name](SETTINGS)
        frames.negotiate("permessage-deflate")
        read(frames, data)
        readers = [weakref.ref(held) for held in vars(frames).values() if isinstance(held, READERS[name])]
        assert readers
        del frames
        assert [reader() for reader in readers] == [None] * len(readers)
    finally:
        gc.enable()


def test_load(name: str) -> None:
    assert websocket.load(name) is ADAPTERS[name]
    assert websocket.load(ADAPTERS[name]) is ADAPTERS[name]
    assert websocket.load("websockets-sansio") is ws_websockets.Frames
    for ours in ("auto", "tricorn", "none"):
        assert websocket.load(ours) is None
    with pytest.raises(StartupError, match=r"builtins.str has no method negotiate\(\)"):
        websocket.load(str)


def test_settings_are_the_options(name: str) -> None:
    config = Config(
        "a:b", ws=name, ws_max_size=1, ws_max_fragments=2, ws_deflate_window_bits=9, ws_deflate_min_size=3
    )
    assert config.frames == Settings(1, 2, True, False, False, 9, config.ws_deflate_level, 5, 3)


def test_a_class_of_the_program(name: str) -> None:
    """Without an import by its name."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"]})

    made: list[Settings] = []

    class Mine(ADAPTERS[name]):  # type: ignore[misc]
        def __init__(self, settings: Settings) -> None:
            made.append(settings)
            super().__init__(settings)

    with tricorn.running(app, port=0, ws=Mine, log_config=None, lifespan="off") as server:
        with connect(server.url.replace("http", "ws")) as client:
            client.send("hello")
            assert client.recv(5) == "hello"
        assert made == [Config(app).frames]

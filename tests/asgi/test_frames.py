"""What wsproto and websockets do otherwise than the frames in C, each line of the table in ``docs/websockets.md``.

Beside each stands what the code in C does with the same bytes. None of it depends on the async library.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from frames import DIFFERENCES
from harness import Serve, frames
from websocket_client import (
    APP,
    BINARY,
    CLOSE,
    MASK,
    PING,
    TAIL,
    TEXT,
    Deflater,
    Frame,
    Peer,
    close_frame,
    frame,
    reach,
)

pytestmark = pytest.mark.skipif(frames != "tricorn", reason="these tests name their frames themselves")

DEFLATE = "permessage-deflate"
OPTIONS = ("--ws-max-size", "100000", "--ws-deflate-min-size", "0")

Case = Callable[[Serve, str], object]
"""What is done with a library's name; the results are compared with what is expected of it and of ``tricorn``."""


def socket(shared: Serve, name: str, offer: str | None = None) -> Peer:
    """Open a WebSocket of a server with that library."""
    return reach(shared(APP, "asyncio", "--ws", name, *OPTIONS), offer=offer)


def end(peer: Peer) -> int | None:
    """Return the code that the server closes with, ``None`` when it waits for more."""
    peer.socket.settimeout(0.5)
    try:
        return peer.closing()[0]
    except TimeoutError:
        return None


def ends(data: bytes, offer: str | None = None) -> Case:
    """Send bytes and see how that ends."""

    def case(shared: Serve, name: str) -> object:
        with socket(shared, name, offer) as peer:
            peer.send(data)
            return end(peer)

    return case


def echoes(data: bytes, offer: str | None = None) -> Case:
    """Send bytes and a close frame, and see what comes back before that."""

    def case(shared: Serve, name: str) -> object:
        with socket(shared, name, offer) as peer:
            peer.send(data + close_frame())
            found: list[Frame] = []
            while not found or found[-1].opcode != CLOSE:
                found.append(peer.next())
            return [one.code if one.opcode == CLOSE else one.payload for one in found]

    return case


def agrees(offer: str) -> Case:
    """See what is agreed to."""

    def case(shared: Serve, name: str) -> object:
        with socket(shared, name, offer) as peer:
            return peer.agreed

    return case


def sizes(options: tuple[str, ...], data: bytes) -> Case:
    """Tell whether options change how small a message becomes."""

    def size(shared: Serve, name: str, *more: str) -> int:
        with reach(shared(APP, "asyncio", "--ws", name, *OPTIONS, *more), offer=DEFLATE) as peer:
            assert peer.agreed is not None
            peer.send(frame(BINARY, Deflater(peer.agreed)(data), rsv=4))
            return len(peer.read().payload)

    return lambda shared, name: size(shared, name) != size(shared, name, *options)


def keeps(shared: Serve, name: str) -> object:
    """Tell whether each of many idle WebSockets has compression take more than the code in C has for all."""
    server = shared(APP, "asyncio", "--ws", name, *OPTIONS)
    if server.memory() == 0:
        return name != "tricorn"  # under a sanitizer memory cannot be weighed
    with ExitStack() as stack:
        before = 0
        for number in range(500):
            peer = stack.enter_context(reach(server, offer=f"{DEFLATE}; client_max_window_bits"))
            peer.send(frame(BINARY, PACKED, rsv=4))
            assert peer.read().compressed
            if number == 99:
                before = server.memory()
        return server.memory() - before > 400 * (28 << 10)


def last_block(data: bytes) -> bytes:
    """Return a message whose last block says that it is the last (RFC 7692 §7.2.3.5)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -9)
    return frame(TEXT, packer.compress(data) + packer.flush(zlib.Z_FINISH) + b"\0", rsv=4)


# A block of a hundred bytes as they are, of which three are there.
CUT = frame(BINARY, b"\x00\x64\x00\x9b\xffabc", rsv=4)
WHOLE = zlib.compressobj(9, zlib.DEFLATED, -9)
UNREMOVED = WHOLE.compress(b"hello") + WHOLE.flush(zlib.Z_SYNC_FLUSH)
UNCUT = frame(TEXT, UNREMOVED, rsv=4)
PACKED = UNREMOVED[: -len(TAIL)]
DIGITS = b"".join(b"%d" % number**2 for number in range(5000))
TWO = last_block(b"hello") + last_block(b"hello")

CASES: dict[tuple[str, str], list[tuple[Case, object, object]]] = {
    ("wsproto", "1014"): [(ends(close_frame(1014)), 1002, 1014)],
    ("wsproto", "when its bytes"): [
        (ends(frame(BINARY, b"a" * 100_001)[:20]), None, 1009),
        (ends(frame(BINARY, b"a" * 100_001)), 1009, 1009),
        (ends(frame(BINARY, b"a" * 60_000, fin=False) + frame(0, b"a" * 60_000)), 1009, 1009),
    ],
    ("wsproto", "names, even a larger"): [
        (agrees(DEFLATE), {}, {"server_max_window_bits": "12"}),
        (
            agrees(f"{DEFLATE}; client_max_window_bits=15; server_max_window_bits=14"),
            {"client_max_window_bits": "15", "server_max_window_bits": "14"},
            {"client_max_window_bits": "12", "server_max_window_bits": "12"},
        ),
    ],
    ("wsproto", "does not know, twice"): [
        (agrees(f"{DEFLATE}; foo"), {}, None),
        (agrees(f"{DEFLATE}; server_max_window_bits=010"), {"server_max_window_bits": "10"}, None),
        (
            agrees(f"{DEFLATE}; server_no_context_takeover=1; server_no_context_takeover"),
            {"server_no_context_takeover": True},
            None,
        ),
    ],
    ("wsproto", "8 bits"): [
        (
            agrees(f"{DEFLATE}; client_max_window_bits=8"),
            None,
            {"server_max_window_bits": "12", "client_max_window_bits": "8"},
        ),
        (agrees(f'foo; bar="a", {DEFLATE}'), None, {"server_max_window_bits": "12"}),
        (
            agrees(f'{DEFLATE}; client_max_window_bits="10"'),
            None,
            {"server_max_window_bits": "12", "client_max_window_bits": "10"},
        ),
    ],
    ("wsproto", "the level and the memory"): [
        (sizes(("--ws-deflate-level", "9"), DIGITS), False, True),
        (sizes(("--ws-deflate-mem-level", "1"), DIGITS), False, True),
    ],
    ("wsproto", "answers 1007 to what comes behind"): [
        (echoes(TWO, DEFLATE), [b"hello", 1007], [b"hello", b"hello", 1000]),
    ],
    ("wsproto", "within a block"): [(echoes(CUT, DEFLATE), [b"abc" + TAIL, 1000], [1007])],
    ("wsproto", "loses its place"): [
        (echoes(2 * UNCUT, DEFLATE), [b"hello", 1007], [b"hello", b"hello", 1000])
    ],
    ("wsproto", "idle or not"): [(keeps, True, False)],
    ("websockets", "shortest form"): [
        (echoes(frame(TEXT, b"abc", size=16)), [b"abc", 1000], [1002]),
        (echoes(frame(TEXT, b"a" * 200, size=64)), [b"a" * 200, 1000], [1002]),
    ],
    ("websockets", "2^63"): [
        (ends(b"\x82\xff" + b"\xff" * 8 + MASK), 1009, 1002),
        (ends(frame(PING, length=1 << 40, size=64)), 1009, 1002),
    ],
    ("websockets", "reserved bits"): [
        (ends(frame(TEXT, b"hello", rsv=2)[:2]), None, 1002),
        (ends(frame(TEXT, b"hello", rsv=2)), 1002, 1002),
    ],
    ("websockets", "UTF-8"): [
        (ends(frame(TEXT, b"\xff" * 10, length=100)[:20]), None, 1007),
        (ends(frame(TEXT, b"\xff", fin=False)), 1007, 1007),
        (ends(frame(TEXT, b"\xc3")), 1007, 1007),
    ],
    ("websockets", "damaged"): [(ends(frame(TEXT, b"\xff\xff\xff\xff", rsv=4), DEFLATE), 1002, 1007)],
    ("websockets", "empty parameter"): [
        (agrees(f"{DEFLATE};"), None, {"server_max_window_bits": "12"}),
        (agrees(f"{DEFLATE}; client_max_window_bits=, {DEFLATE}"), None, {"server_max_window_bits": "12"}),
        (agrees(f'foo; bar="a b", {DEFLATE}'), None, {"server_max_window_bits": "12"}),
    ],
    ("websockets", "reads nothing of what comes behind"): [
        (echoes(TWO, DEFLATE), [b"hello", b"", 1000], [b"hello", b"hello", 1000]),
    ],
    ("websockets", "within a block"): [(echoes(CUT, DEFLATE), [b"abc" + TAIL, 1000], [1007])],
    ("websockets", "loses its place"): [
        (echoes(2 * UNCUT, DEFLATE), [b"hello", 1002], [b"hello", b"hello", 1000])
    ],
    ("websockets", "idle or not"): [(keeps, True, False)],
}


@pytest.mark.parametrize(("name", "what"), CASES, ids=lambda text: text.replace(" ", "-"))
def test_difference(shared: Serve, name: str, what: str) -> None:
    for case, theirs, ours in CASES[name, what]:
        assert (case(shared, name), case(shared, "tricorn")) == (theirs, ours)


def test_every_difference_is_documented_and_tested() -> None:
    page = (Path(__file__).parents[2] / "docs" / "websockets.md").read_text()
    told = set(re.findall(r"^\| (wsproto|websockets|wsproto, websockets) \| (.*) \|$", page, re.MULTILINE))
    meant: dict[str, list[str]] = {}
    for name, differences in DIFFERENCES.items():
        for what in differences:
            meant.setdefault(what, []).append(name)
    assert told == {(", ".join(names), what) for what, names in meant.items()}
    for name, part in CASES:
        assert len([what for what in DIFFERENCES[name] if part in what]) == 1, part
    assert len(CASES) == sum(len(differences) for differences in DIFFERENCES.values())


@pytest.mark.parametrize("name", ["tricorn", "wsproto", "websockets"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (frame(TEXT, b"a", fin=False) + close_frame(3001), 3001),
        (frame(TEXT, b"a", rsv=4), 1002),
        (frame(3), 1002),
        (frame(TEXT, b"a", mask=None), 1002),
        (frame(9, b"a", fin=False), 1002),
        (frame(9, b"a" * 126), 1002),
        (frame(0, b"a"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"a"), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE), None),
        (frame(CLOSE, struct.pack("!H", 1006)), 1002),
        (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else str(value),
)
def test_all_agree_on_how_it_ends(shared: Serve, name: str, data: bytes, expected: int | None) -> None:
    with socket(shared, name) as peer:
        peer.send(data)
        assert peer.closing()[0] == expected


@pytest.mark.parametrize("name", ["tricorn", "wsproto", "websockets"])
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
def test_all_read_the_same_however_it_is_cut(shared: Serve, name: str, cut: int) -> None:
    """Fragments, a ping between the frames of a compressed message, characters that are split."""
    with socket(shared, name, f"{DEFLATE}; client_max_window_bits") as peer:
        data = frame(TEXT, PACKED[:3], rsv=4, fin=False) + frame(9, b"x") + frame(0, PACKED[3:])
        data += frame(TEXT, b"\xc3", fin=False) + frame(0, b"", fin=False) + frame(0, b"\xa9")
        data += frame(BINARY, b"", fin=False) + frame(0, b"") + frame(TEXT, b"end")
        for at in range(0, len(data), cut):
            peer.send(data[at : at + cut])
        assert [peer.message() for _ in range(4)] == ["hello", "é", b"", "end"]
        assert peer.pongs == 1
        assert peer.leave()[0] == 1000


@pytest.mark.parametrize("name", ["tricorn", "wsproto", "websockets"])
def test_all_count_fragments(shared: Serve, name: str) -> None:
    server = shared(APP, "asyncio", "--ws", name, "--ws-max-fragments", "3")
    begun = frame(TEXT, b"", fin=False) + frame(0, b"a", fin=False)
    with reach(server) as peer:
        peer.send(2 * (begun + frame(0, b"b")))
        assert [peer.message(), peer.message()] == ["ab", "ab"]
        peer.send(begun + frame(0, b"", fin=False) + frame(0, b""))
        assert peer.failed() == 1008


@pytest.mark.parametrize("name", ["tricorn", "wsproto", "websockets"])
def test_all_bound_a_bomb(shared: Serve, name: str) -> None:
    """A message of 100 MB in a hundredth of that ends with 1009, and the memory does not tell of it."""
    server = shared(APP, "asyncio", "--ws", name, *OPTIONS)
    bomb = zlib.compressobj(9, zlib.DEFLATED, -9)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(100)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    before = server.memory()
    for _ in range(3):
        with reach(server, offer=DEFLATE) as peer:
            peer.send(frame(BINARY, packed[: -len(TAIL)], rsv=4)[:60_000])
            assert peer.closing()[0] == 1009
    assert server.memory() - before < 16 << 20

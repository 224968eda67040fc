"""Compression: permessage-deflate as RFC 7692 has it, its negotiation above all."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from harness import Field, Serve, Server
from websocket_client import (
    ACCEPT,
    APP,
    BINARY,
    CONNECT,
    CONTINUATION,
    DEFLATE,
    PING,
    PONG,
    TAIL,
    TEXT,
    Deflater,
    Frame,
    Peer,
    Script,
    frame,
    reach,
    said,
)

NONE_TOO = True
WORDS = ("lorem", "ipsum", "dolor", "sit", "amet", "schön", "consectetur", "𝄞", "adipiscing")


def prose(size: int, seed: int = 1) -> str:
    """Return a text that can be compressed, about so long."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(size // 6))


def agreed(server: Server, *offers: str) -> dict[str, str | bool] | None:
    """Return what the server agrees to when these offers come, each in a field of its own.

    A message goes back and forth, compressed where that was agreed, so that the answer is not only said.
    """
    fields: list[Field] = [("Sec-WebSocket-Extensions", offer) for offer in offers]
    with reach(server, fields=fields) as peer:
        found = peer.agreed
        for seed in range(3):
            text = prose(3000, seed)
            if found is None:
                peer.text(text)
            else:
                deflate = Deflater(found)
                for part in (text, text[:500]):
                    peer.send(frame(TEXT, deflate(part.encode()), rsv=4))
                assert peer.message() == text
                peer_text = peer.message()
                assert peer_text == text[:500]
                break
            assert peer.message() == text
        return found


GOOD = [
    DEFLATE,
    f"{DEFLATE};client_max_window_bits",
    f"{DEFLATE} ; client_max_window_bits=15 ",
    f"{DEFLATE}; client_max_window_bits=10",
    f"{DEFLATE}; client_max_window_bits=9",
    f"{DEFLATE}; server_max_window_bits=15",
    f"{DEFLATE}; server_max_window_bits=10",
    f"{DEFLATE}; server_max_window_bits=9",
    f'{DEFLATE}; server_max_window_bits="10"',
    f"{DEFLATE}; server_no_context_takeover",
    f"{DEFLATE}; client_no_context_takeover",
    f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover",
    f"{DEFLATE}; server_no_context_takeover; server_max_window_bits=11; client_max_window_bits=12",
    f"{DEFLATE}; client_no_context_takeover; client_max_window_bits; server_max_window_bits=10",
]


def parameters(offer: str) -> dict[str, str | bool]:
    """Return the parameters of an offer."""
    found: dict[str, str | bool] = {}
    for part in offer.split(";")[1:]:
        name, equals, value = part.partition("=")
        found[name.strip()] = value.strip().strip('"') if equals else True
    return found


def check_answer(offered: dict[str, str | bool], answer: dict[str, str | bool]) -> None:
    """The answer keeps to the offer (RFC 7692 §7.1)."""
    names = {"server_no_context_takeover", "client_no_context_takeover"}
    bits = {"server_max_window_bits", "client_max_window_bits"}
    assert set(answer) <= names | bits, answer
    assert all(answer[name] is True for name in names & set(answer)), "they have no value"
    if "server_no_context_takeover" in offered:
        assert "server_no_context_takeover" in answer, "§7.1.1.1: what is asked of us is confirmed"
    if "server_max_window_bits" in offered:
        value = answer["server_max_window_bits"]
        assert isinstance(value, str) and 8 <= int(value) <= int(offered["server_max_window_bits"])
    if "client_max_window_bits" in answer:
        assert "client_max_window_bits" in offered, "§7.1.2.2: the client does not know it"
        most = offered["client_max_window_bits"]
        value = answer["client_max_window_bits"]
        assert isinstance(value, str) and 8 <= int(value) <= (15 if most is True else int(most))
    for name in bits & set(answer):
        assert str(int(answer[name])) == answer[name], "no leading zeros"


@pytest.mark.parametrize("offer", GOOD)
def test_offers_that_are_agreed_to(shared: Serve, library: str, offer: str) -> None:
    answer = agreed(shared(APP, library), offer)
    assert answer is not None
    check_answer(parameters(offer), answer)


@pytest.mark.parametrize("bits", [9, 10, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
def test_windows_of_every_size(shared: Serve, library: str, name: str, bits: int) -> None:
    """Our own are of 12 bits by default, and no larger than the client wants."""
    answer = agreed(shared(APP, library), f"{DEFLATE}; {name}={bits}")
    assert answer is not None and int(answer[name]) == min(12, bits)


def test_window_of_eight_bits(shared: Serve, library: str) -> None:
    """It may be declined (zlib does not make such windows); an agreement must be kept."""
    for name in ("server_max_window_bits", "client_max_window_bits"):
        offer = f"{DEFLATE}; {name}=8"
        answer = agreed(shared(APP, library), offer)
        if answer is not None:
            check_answer(parameters(offer), answer)


BAD = [
    f"{DEFLATE}; unknown",
    f"{DEFLATE}; unknown=1",
    f"{DEFLATE}; server_no_context_takeover=1",
    f"{DEFLATE}; client_no_context_takeover=true",
    f"{DEFLATE}; server_no_context_takeover; server_no_context_takeover",
    f"{DEFLATE}; client_max_window_bits; client_max_window_bits=10",
    f"{DEFLATE}; server_max_window_bits",
    f"{DEFLATE}; server_max_window_bits=",
    f"{DEFLATE}; server_max_window_bits=7",
    f"{DEFLATE}; server_max_window_bits=16",
    f"{DEFLATE}; server_max_window_bits=09",
    f"{DEFLATE}; server_max_window_bits=+9",
    f"{DEFLATE}; server_max_window_bits=1e1",
    f"{DEFLATE}; server_max_window_bits=4294967306",
    f"{DEFLATE}; server_max_window_bits=-10",
    f"{DEFLATE}; client_max_window_bits=7",
    f"{DEFLATE}; client_max_window_bits=16",
    f"{DEFLATE}; client_max_window_bits=010",
    f"{DEFLATE}; client_max_window_bits=ten",
    f"{DEFLATE}-more",
    "x-webkit-deflate-frame",
    "deflate",
]


@pytest.mark.parametrize("offer", BAD)
def test_offers_that_are_declined(shared: Serve, library: str, offer: str) -> None:
    """The WebSocket is open, without compression; a good offer behind it is taken."""
    server = shared(APP, library)
    assert agreed(server, offer) is None
    assert agreed(server, f"{offer}, {DEFLATE}") is not None
    assert agreed(server, offer, DEFLATE) is not None


def test_several_offers(shared: Serve, library: str) -> None:
    """The first that will do is the one that is answered; it stands in the answer once."""
    server = shared(APP, library)
    offers = [f"{DEFLATE}; server_max_window_bits=10", DEFLATE]
    for answer in (agreed(server, ", ".join(offers)), agreed(server, *offers)):
        assert answer is not None and answer["server_max_window_bits"] == "10"
    for answer in (agreed(server, ", ".join(offers[::-1])), agreed(server, *offers[::-1])):
        assert answer is not None and int(answer.get("server_max_window_bits", 15)) > 10
    assert agreed(server, f"foo; bar, bbf-usp; {DEFLATE}=1, {DEFLATE}; client_max_window_bits") is not None


def test_quoted_values_hold_no_separators(shared: Serve, library: str) -> None:
    """A comma or a semicolon within quotes belongs to the value."""
    server = shared(APP, library)
    assert agreed(server, f'foo; bar="a, {DEFLATE}, b"') is None
    assert agreed(server, f'foo; bar="a; b \\" c", {DEFLATE}') is not None


def test_no_compression_when_it_is_off(shared: Serve, library: str) -> None:
    assert agreed(shared(APP, library, "--no-ws-per-message-deflate"), DEFLATE) is None
    assert agreed(shared(APP, library, "--ws-per-message-deflate", "false"), DEFLATE) is None


def test_our_own_wishes(shared: Serve, library: str) -> None:
    """What the options say is in the answer, whatever was offered."""
    server = shared(
        APP, library, "--ws-deflate-no-context-takeover", "--ws-deflate-client-no-context-takeover"
    )
    for offer in GOOD:
        answer = agreed(server, offer)
        assert answer is not None
        check_answer(parameters(offer), answer)
        assert answer["server_no_context_takeover"] and answer["client_no_context_takeover"]


@pytest.mark.parametrize("bits", ["9", "15"])
def test_our_own_windows(shared: Serve, library: str, bits: str) -> None:
    """The client's window is limited only when it says that it can be."""
    server = shared(APP, library, "--ws-deflate-window-bits", bits)
    answer = agreed(server, f"{DEFLATE}; client_max_window_bits")
    assert answer is not None
    assert answer.get("client_max_window_bits", "15") == bits == answer.get("server_max_window_bits", "15")
    answer = agreed(server, DEFLATE)
    assert answer is not None and "client_max_window_bits" not in answer


def talk(peer: Peer, texts: list[str]) -> list[Frame]:
    """Send texts, compressed by one context, and return what comes back."""
    deflate = Deflater(peer.agreed)
    found = []
    for text in texts:
        peer.send(frame(TEXT, deflate(text.encode()), rsv=4))
        found.append(peer.next())
    assert [answer.payload.decode() for answer in found] == texts
    return found


def raw_sizes(peer: Peer, texts: list[str]) -> list[int]:
    """Have each text echoed, and return how many bytes the echo takes on the wire."""
    sizes = []
    for text in texts:
        peer.text(text)
        found = peer.read()
        assert found.compressed
        sizes.append(len(found.payload))
    return sizes


def test_context_is_kept_over_messages(shared: Serve, library: str) -> None:
    """The second of two messages that are the same is tiny."""
    text = random.Random(1).randbytes(1000).hex()
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        first, second = raw_sizes(peer, [text, text])
        assert second < first / 10
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        talk(peer, [prose(2000, seed % 3) for seed in range(20)])


def test_context_is_given_up_when_that_was_agreed(shared: Serve, library: str) -> None:
    text = random.Random(1).randbytes(1000).hex()
    with reach(shared(APP, library), offer=f"{DEFLATE}; server_no_context_takeover") as peer:
        first, second = raw_sizes(peer, [text, text])
        assert first == second
        talk(peer, [text, text, prose(500, 7)])


def test_client_without_context(shared: Serve, library: str) -> None:
    """It may start afresh with each message, agreed or not."""
    text = prose(2000)
    for offer in (DEFLATE, f"{DEFLATE}; client_no_context_takeover"):
        with reach(shared(APP, library), offer=offer) as peer:
            for _ in range(3):
                peer.send(frame(TEXT, Deflater(peer.agreed)(text.encode()), rsv=4))
                assert peer.message() == text


def test_plain_and_compressed_messages_mix(shared: Serve, library: str) -> None:
    """A plain one leaves the context as it is."""
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        deflate = Deflater(peer.agreed)
        for number in range(30):
            text = prose(1000, number % 2)
            if number % 3:
                peer.send(frame(TEXT, deflate(text.encode()), rsv=4))
            else:
                peer.text(text)
            assert peer.message() == text


def test_small_messages_are_plain(shared: Serve, library: str) -> None:
    """Below the least size, and above it when it is lowered."""
    for options, size in (((), 128), (("--ws-deflate-min-size", "10"), 10)):
        with reach(shared(APP, library, *options), offer=DEFLATE) as peer:
            for length, compressed in ((0, False), (1, False), (size - 1, False), (size, True), (1000, True)):
                peer.binary(b"a" * length)
                found = peer.next()
                assert found.payload == b"a" * length and found.compressed == compressed, length


def test_everything_compressed_when_the_least_size_is_zero(shared: Serve, library: str) -> None:
    with reach(shared(APP, library, "--ws-deflate-min-size", "0"), offer=DEFLATE) as peer:
        for text in ("", "a", "ab"):
            peer.text(text)
            assert peer.next().payload.decode() == text


@pytest.mark.parametrize("size", [200, 10_000, 70_000, 1_000_000])
def test_data_that_cannot_be_compressed(shared: Serve, library: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        deflate = Deflater(peer.agreed)
        for _ in range(2):
            peer.send(frame(BINARY, deflate(data), rsv=4))
            assert peer.next().payload == data


def test_large_messages(shared: Serve, library: str) -> None:
    text = prose(2_000_000)
    with reach(shared(APP, library), offer=f"{DEFLATE}; client_max_window_bits") as peer:
        talk(peer, [text, text[:100], text])


@pytest.mark.parametrize("size", [1, 7, 100])
def test_compressed_message_in_fragments(shared: Serve, library: str, size: int) -> None:
    """RSV1 stands in the first frame alone; control frames come between."""
    text = prose(2000)
    with reach(shared(APP, library, "--ws-max-control-rate", "0"), offer=DEFLATE) as peer:
        payload = Deflater(peer.agreed)(text.encode())
        for at in range(0, len(payload), size):
            last = at + size >= len(payload)
            piece = payload[at : at + size]
            peer.send(frame(CONTINUATION if at else TEXT, piece, fin=last, rsv=0 if at else 4) + frame(PING))
        assert peer.message() == text
        assert peer.pongs or peer.read().opcode == PONG


def test_compressed_message_with_empty_fragments(shared: Serve, library: str) -> None:
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        payload = Deflater(peer.agreed)(b"hello")
        peer.send(
            frame(TEXT, rsv=4, fin=False) + frame(CONTINUATION, payload, fin=False) + frame(CONTINUATION)
        )
        assert peer.message() == "hello"


EMPTY = {
    "one-zero": b"\0",
    "stored-block": b"\x02\0",
    "final-block": b"\x03\0",
}


@pytest.mark.parametrize("case", EMPTY)
def test_ways_to_write_an_empty_message(shared: Serve, library: str, case: str) -> None:
    """RFC 7692 §7.2.3.6 and its like; a message behind it is read as usual."""
    with reach(shared(APP, library), offer=f"{DEFLATE}; client_no_context_takeover") as peer:
        peer.send(frame(TEXT, EMPTY[case], rsv=4))
        assert peer.message() == ""
        peer.send(frame(TEXT, Deflater(peer.agreed)(b"hello"), rsv=4))
        assert peer.message() == "hello"


def test_examples_of_the_rfc(shared: Serve, library: str) -> None:
    """RFC 7692 §7.2.3: one block, a shared window, no compression, a final block, two blocks."""
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        for payload in (
            "f2 48 cd c9 c9 07 00",
            "f2 00 11 00 00",
            "00 05 00 fa ff 48 65 6c 6c 6f 00",
            "f3 48 cd c9 c9 07 00 00",
            "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
        ):
            peer.send(frame(TEXT, bytes.fromhex(payload), rsv=4))
            assert peer.message() == "Hello", payload


FAILING: dict[str, tuple[bytes, int]] = {
    "rsv1-in-a-continuation": (
        frame(TEXT, b"\xf2\x48", fin=False, rsv=4) + frame(CONTINUATION, b"\xcd", rsv=4),
        1002,
    ),
    "rsv1-in-a-late-continuation": (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=4), 1002),
    "rsv1-in-a-ping": (frame(PING, b"a", rsv=4), 1002),
    "rsv2": (frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=6), 1002),
    "reserved-block": (frame(TEXT, b"\x07\x00", rsv=4), 1007),
    "stored-lengths-that-differ": (frame(BINARY, b"\x00\x05\x00\x00\x00hello", rsv=4), 1007),
    "distance-before-the-beginning": (frame(BINARY, b"\x02\x13\x01\x00", rsv=4), 1007),
    "not-utf8": (frame(TEXT, zlib.compress(b"\xff\xfe", 9, -15), rsv=4), 1007),
    "cut-utf8": (frame(TEXT, zlib.compress(b"a\xe2\x82", 9, -15), rsv=4), 1007),
}


@pytest.mark.parametrize("case", FAILING)
def test_compressed_messages_that_fail(shared: Serve, library: str, case: str) -> None:
    data, code = FAILING[case]
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target, offer=DEFLATE) as peer:
        peer.send(data)
        assert peer.failed() == code
    assert script.note(server)["code"] == code


def test_utf8_fails_while_it_is_inflated(shared: Serve, library: str) -> None:
    """In a fragment before the last."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = deflate.compress(b"a" * 1000 + b"\xff" + b"a" * 1000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        peer.send(frame(TEXT, payload, rsv=4, fin=False))
        assert peer.failed() == 1007


def test_message_that_ends_within_a_block_fails(shared: Serve, library: str) -> None:
    """A stored block that announces more than comes must not swallow what is put behind it."""
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        peer.send(frame(BINARY, b"\x00\x64\x00\x9b\xffabc", rsv=4))
        assert peer.failed() == 1007


def test_final_blocks_with_context(shared: Serve, library: str) -> None:
    """Each message is a stream of its own, ended by a final block (§7.2.3.4), one after another."""
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        for number in range(5):
            text = prose(400, number)
            peer.send(frame(TEXT, zlib.compress(text.encode(), 9, -12) + b"\0", rsv=4))
            assert peer.message() == text


def test_W6_events_of_compressed_messages(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["note"], ["note"])
    server = shared(APP, library)
    with reach(server, script.target, offer=DEFLATE) as peer:
        deflate = Deflater(peer.agreed)
        peer.send(frame(TEXT, deflate("schön".encode()), rsv=4) + frame(BINARY, deflate(b"\xff"), rsv=4))
        assert peer.failed() == 1000
    assert script.noted(server, 2) == [said("schön"), said(None, b"\xff")]


def crowd_of(server: Server, count: int) -> list[Peer]:
    """Open so many WebSockets with compression."""
    return [reach(server, offer=DEFLATE) for _ in range(count)]


def test_contexts_of_many_are_bounded_and_right(shared: Serve, library: str) -> None:
    """Hundreds of WebSockets take turns, so that contexts are given up and taken again: each still reads its own."""
    server = shared(APP, library)
    peers = crowd_of(server, 300)
    try:
        deflaters = [Deflater(peer.agreed) for peer in peers]
        for turn in range(4):
            for number, (peer, deflate) in enumerate(zip(peers, deflaters, strict=True)):
                peer.send(frame(TEXT, deflate(prose(600, number + turn % 2).encode()), rsv=4))
            for number, peer in enumerate(peers):
                assert peer.message() == prose(600, number + turn % 2)
    finally:
        for peer in peers:
            peer.close()


def test_memory_of_idle_ones_with_compression(shared: Serve, library: str) -> None:
    """Contexts are not kept for all that have ever used one: an idle WebSocket takes some KiB, not hundreds."""
    server = shared(APP, library)
    text = prose(3000)
    for peer in crowd_of(server, 50):
        peer.text(text)
        assert peer.message() == text
        peer.close()
    memory, count = server.memory(), 500
    peers = crowd_of(server, count)
    try:
        for peer in peers:
            peer.send(frame(TEXT, Deflater(peer.agreed)(text.encode()), rsv=4))
            assert peer.message() == text
        taken: Any = (server.memory() - memory) / count
        assert taken < 64 << 10, f"{taken:.0f} bytes each"
    finally:
        for peer in peers:
            peer.close()


def test_tail_that_is_not_left_out(shared: Serve, library: str) -> None:
    """A client that sends the four bytes which it should have removed is read all the same."""
    with reach(shared(APP, library), offer=DEFLATE) as peer:
        for number in range(3):
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            payload = deflate.compress(b"hello") + deflate.flush(zlib.Z_SYNC_FLUSH)
            assert payload.endswith(TAIL)
            peer.send(frame(TEXT, payload, rsv=4))
            assert peer.message() == "hello", number

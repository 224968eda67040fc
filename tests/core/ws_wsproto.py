"""Compares our reading and writing of WebSocket frames with wsproto's: random and damaged streams, whole and cut.

    ws_wsproto.py PROGRAM [CASES]

PROGRAM is built from ws_events.c. Both must see the same messages, pings, pongs, closes and close codes; where ours
differ on purpose, `deviation` says so.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass, field

from wsproto.connection import CLIENT, SERVER, Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

COMPRESSED, ALONE, FEW_STREAMS, SEND = 1, 2, 4, 8
SEED = 6455
HEADS = {
    "a reserved bit is set",
    "the opcode is reserved",
    "the frame is not masked",
    "the control frame is fragmented or too long",
    "there is no message to go on with",
    "the message before is not complete",
    "the message is too big",
}
"""Reasons for which we fail as soon as enough of a frame's head has come; wsproto wants more of the frame."""

Event = tuple[str, int, bytes]
"""What happened, the code of a close or failure, and the bytes."""


class Deflate(PerMessageDeflate):
    """wsproto's extension, agreed on, mended: a control frame between fragments makes it take the rest as plain."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__(client_no_context_takeover=alone, server_no_context_takeover=alone)
        self._enabled = True
        self.in_control = False
        self.ended = False
        """A last block has come: wsproto inflates nothing that follows."""

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self.in_control = opcode.iscontrol()
        if self.in_control:
            return CloseReason.PROTOCOL_ERROR if rsv.rsv1 else RsvBits(True, False, False)
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        return data if self.in_control else super().frame_inbound_payload_data(proto, data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        if self.in_control:
            return None
        self.ended = self.ended or (self._decompressor is not None and self._decompressor.eof)
        return super().frame_inbound_complete(proto, fin)


@dataclass
class Theirs:
    """What wsproto makes of a stream."""

    role: ConnectionType
    choice: int
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deflate = Deflate(alone=bool(self.choice & ALONE))
        self.connection = Connection(self.role, [self.deflate] if self.choice & COMPRESSED else [])
        self.message = b""

    def feed(self, piece: bytes) -> None:
        """Take a piece and note what it brought; nothing after a close or a failure."""
        if self.events and self.events[-1][0] in {"close", "fail"}:
            return
        self.connection.receive_data(piece)
        for event in self.connection.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                data = event.data
                self.message += data.encode() if isinstance(data, str) else bytes(data)
                if event.message_finished:
                    kind = "text" if isinstance(event, TextMessage) else "binary"
                    self.events.append((kind, 0, self.message))
                    self.message = b""
            elif isinstance(event, (Ping, Pong)):
                self.events.append(("ping" if isinstance(event, Ping) else "pong", 0, bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                self.note_close(event)

    def note_close(self, event: CloseConnection) -> None:
        """A close of the peer leaves the connection closing; a failure leaves it open."""
        failed = self.connection.state.name == "OPEN"
        reason = (event.reason or "").encode()
        self.events.append(("fail" if failed else "close", int(event.code), reason))


# --- what a client sends ---


def text(rng: random.Random, most: int) -> bytes:
    """Text of ASCII and of longer characters."""
    return "".join(rng.choices("abcdefgh éß€😀", k=rng.randrange(most + 1))).encode()


def frame(rng: random.Random, first: int, payload: bytes) -> bytes:
    """A masked frame, whose length is now and then not in its shortest form, or its mask bit missing."""
    n = len(payload)
    form = 0 if n < 126 else 2 if n < 65536 else 8
    if rng.random() < 0.005:
        form = 8 if form == 8 else rng.choice((2, 8))
    length = bytes([0x80 | (n if form == 0 else 126 if form == 2 else 127)])
    length += n.to_bytes(form, "big") if form else b""
    key = rng.randbytes(4)
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    if rng.random() < 0.003:
        return bytes([first, length[0] & 0x7F]) + length[1:] + payload
    return bytes([first]) + length + key + masked


def control(rng: random.Random) -> bytes:
    """A ping or pong."""
    return frame(rng, rng.choice((0x89, 0x8A)), rng.randbytes(rng.choice((0, 1, 10, 125))))


class Packer:
    """The client's compressor."""

    def __init__(self, choice: int) -> None:
        self.alone = bool(choice & ALONE)
        self.fresh()

    def fresh(self) -> None:
        """Forget what was sent."""
        self.zlib = zlib.compressobj(6, zlib.DEFLATED, -15)

    def pack(self, message: bytes) -> bytes:
        """The payload of a message."""
        if self.alone:
            self.fresh()
        return (self.zlib.compress(message) + self.zlib.flush(zlib.Z_SYNC_FLUSH))[:-4]


def message(rng: random.Random, packer: Packer | None) -> bytes:
    """A message in fragments, with control frames between them."""
    opcode = rng.choice((1, 2))
    payload = text(rng, rng.choice((5, 200, 200, 3000)))
    if opcode == 2 or rng.random() < 0.05:
        payload += rng.randbytes(rng.randrange(20))
    if packer is not None and rng.random() < 0.7:
        payload = packer.pack(payload)
        opcode |= 0x40
    out = b""
    while rng.random() < 0.4:
        n = rng.randrange(len(payload) + 1)
        out += frame(rng, opcode, payload[:n])
        opcode, payload = 0, payload[n:]
        if rng.random() < 0.3:
            out += control(rng)
    return out + frame(rng, opcode | 0x80, payload)


def close(rng: random.Random) -> bytes:
    """A close frame, with any code, and a reason that is now and then not UTF-8."""
    code = rng.choice((1000, 1001, 1003, 1004, 1005, 1006, 1011, 1012, 1014, 1015, 2999, 3000, 4999, 5000, 0))
    payload = struct.pack("!H", code) + text(rng, 30) + rng.choice((b"", b"", b"\xff"))
    return frame(rng, 0x88, payload[: rng.choice((0, 1, 2, 120, 120))])


def damage(rng: random.Random, stream: bytearray) -> None:
    """Change, drop or add a byte, or cut off the end."""
    at = rng.randrange(len(stream))
    kind = rng.randrange(5)
    if kind == 0:
        stream[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        stream[at] = rng.randrange(256)
    elif kind == 2:
        del stream[at]
    elif kind == 3:
        stream.insert(at, rng.randrange(256))
    else:
        del stream[at + 1 :]


def make_stream(rng: random.Random, choice: int) -> bytes:
    """All that a client sends."""
    packer = Packer(choice) if choice & COMPRESSED else None
    stream = bytearray()
    for _ in range(rng.randrange(1, 6)):
        stream += control(rng) if rng.random() < 0.2 else message(rng, packer)
    if rng.random() < 0.5:
        stream += close(rng) + rng.choice((b"", control(rng)))
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        damage(rng, stream)
    return bytes(stream)


def cut(rng: random.Random, stream: bytes) -> list[bytes]:
    """The stream whole, byte by byte or in pieces."""
    most = rng.choice((1, 3, 50, 1000, len(stream) + 1))
    pieces = []
    while stream:
        n = rng.randrange(1, most + 1) if most <= len(stream) else len(stream)
        pieces.append(stream[:n])
        stream = stream[n:]
    return pieces


# --- ours ---


def packed(choice: int, pieces: list[bytes]) -> bytes:
    """A case as ws_events.c reads it."""
    parts = [bytes([choice]), struct.pack("!I", len(pieces))]
    parts += [struct.pack("!I", len(piece)) + piece for piece in pieces]
    return b"".join(parts)


def play(program: str, cases: list[tuple[int, list[bytes]]]) -> list[list[str]]:
    """The lines of each case."""
    given = b"".join(packed(choice, pieces) for choice, pieces in cases)
    done = subprocess.run([program], input=given, stdout=subprocess.PIPE, check=True, timeout=100)
    shown = done.stdout.decode().split(".\n")
    assert shown.pop() == "" and len(shown) == len(cases)
    return [lines.splitlines() for lines in shown]


def event(line: str) -> Event:
    """An event of ours."""
    kind, _, rest = line.partition(" ")
    if kind == "fail":
        code, _, reason = rest.partition(" ")
        return kind, int(code), reason.encode()
    if kind == "close":
        code, _, rest = rest.partition(" ")
        return kind, int(code), bytes.fromhex(rest)
    return kind, 0, bytes.fromhex(rest)


# --- both ---


def deviation(ours: Event | None, theirs: Event | None, *, inflates: bool, ended: bool) -> str:
    """Why the first events that differ may do so, or nothing; `ended`: wsproto has met a last block."""
    if (
        ours is not None
        and ours[0] == "fail"
        and ours[2].decode() in HEADS
        and (theirs is None or theirs[0] == "fail")
    ):
        return "we fail at the head of a frame, wsproto when it has its payload"
    read_on = ours is not None and (ours[:2] == ("close", 1014) or ours[2] == b"the reason is not UTF-8")
    if read_on and theirs == ("fail", 1002, b"CLOSE with unknown reserved code"):
        return "1014 is registered with IANA; wsproto does not know it"
    if (
        ours is None
        and theirs is not None
        and theirs[2].startswith((b"Payload length", b"8-byte payload length"))
    ):
        return "wsproto fails at a frame's length, we when the key behind it has come"
    if inflates and ended:
        return "RFC 7692 §7.2.3.4: we go on behind a last block, wsproto inflates nothing more"
    cut_off = ours is not None and ours[1:] == (1007, b"the compressed data is damaged")
    if inflates and cut_off and (theirs is None or theirs[0] in {"text", "binary", "fail"}):
        return "we refuse a compressed message that ends within a block, wsproto hands it over with the tail in it"
    return ""


def bare(seen: Event) -> Event:
    """An event without the wording of a failure."""
    return (seen[0], seen[1], b"") if seen[0] == "fail" else seen


def compare(ours: list[Event], theirs: Theirs) -> str:
    """The deviation of the first events that differ, empty when none do."""
    for i in range(max(len(ours), len(theirs.events))):
        mine = ours[i] if i < len(ours) else None
        other = theirs.events[i] if i < len(theirs.events) else None
        if mine is not None and other is not None and bare(mine) == bare(other):
            continue
        inflates = bool(theirs.choice & COMPRESSED)
        return deviation(mine, other, inflates=inflates, ended=theirs.deflate.ended) or f"{mine} and {other}"
    return ""


def check_reading(program: str, rng: random.Random, count: int) -> dict[str, int]:
    """Compare what both read; how often each deviation was met."""
    choices = (0, COMPRESSED, COMPRESSED | FEW_STREAMS, COMPRESSED | ALONE)
    streams = [(choice, make_stream(rng, choice)) for choice in rng.choices(choices, k=count)]
    shown = play(program, [(choice, cut(rng, stream)) for choice, stream in streams])
    tally: dict[str, int] = {}
    for (choice, stream), lines in zip(streams, shown, strict=True):
        theirs = Theirs(SERVER, choice)
        for piece in cut(rng, stream):
            theirs.feed(piece)
        found = compare([event(line) for line in lines], theirs)
        tally[found] = tally.get(found, 0) + 1
    return tally


def make_pieces(rng: random.Random) -> tuple[list[bytes], list[Event]]:
    """What a server sends, as ws_events.c takes it, and what a client is to see of it."""
    pieces: list[bytes] = []
    wanted: list[Event] = []
    kinds = {"t": "text", "b": "binary", "p": "ping", "P": "pong"}
    for kind in rng.choices("tbpP", weights=(4, 4, 1, 1), k=rng.randrange(1, 8)):
        payload = text(rng, 40) if kind in "pP" else text(rng, rng.choice((0, 40, 500, 20000)))
        wanted.append((kinds[kind], 0, payload[:120] if kind in "pP" else payload))
        pieces.append(kind.encode() + wanted[-1][2])
    code, reason = rng.choice((1000, 1001, 1011, 3000, 4999)), text(rng, 30)[:2]
    reason = b"" if reason[-1:] > b"\x7f" else reason
    wanted.append(("close", code, reason))
    pieces.append(b"c" + struct.pack("!H", code) + reason)
    return pieces, wanted


def check_writing(program: str, rng: random.Random, count: int) -> int:
    """Have wsproto read what we write; how often it saw something else."""
    choices = [SEND | choice for choice in (0, COMPRESSED, COMPRESSED | FEW_STREAMS, COMPRESSED | ALONE)]
    made = [make_pieces(rng) for _ in range(count)]
    cases = [(rng.choice(choices), pieces) for pieces, _ in made]
    wrong = 0
    for (choice, _), (_, wanted), lines in zip(cases, made, play(program, cases), strict=True):
        theirs = Theirs(CLIENT, choice)
        for line in lines:
            theirs.feed(bytes.fromhex(line))
        wrong += theirs.events != wanted
        if theirs.events != wanted:
            print(f"sent {wanted}\nread {theirs.events}", file=sys.stderr)
    return wrong


def main() -> int:
    """Play all cases and print the tally."""
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1500
    rng = random.Random(SEED)
    tally = check_reading(program, rng, count)
    same = tally.pop("", 0)
    known = {text for text in tally if not text.startswith(("(", "None"))}
    for found, times in sorted(tally.items()):
        print(f"{times} times: {found}", file=sys.stdout if found in known else sys.stderr)
    failed = sum(times for found, times in tally.items() if found not in known)
    failed += same < count / 2
    failed += check_writing(program, rng, count // 4)
    print(f"{count + count // 4 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

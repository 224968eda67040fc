"""The load generator of WebSockets believes nothing, and what it sends can be read by a server of ours."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bench.environments import socket_load_generator
from bench.workloads import ACCEPT, OFFER, UPGRADE, telegram
from loopback import listening

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
TAIL = b"\0\0\xff\xff"
DEFLATE = "permessage-deflate"


def frame(payload: bytes, opcode: int = TEXT, first: int = 0x80) -> bytes:
    """Make a server's frame; `first` has its FIN and reserved bits."""
    n = len(payload)
    long = b"\x7e" + n.to_bytes(2, "big") if n < 65536 else b"\x7f" + n.to_bytes(8, "big")
    return bytes([first | opcode]) + (bytes([n]) if n < 126 else long) + payload


def echo(text: bytes) -> bytes:
    """Answer with the same text in one frame."""
    return frame(text)


@dataclass
class Peer:
    """A server: what it answers with to the handshake and to each message, and what it has seen."""

    answer: Callable[[bytes], bytes] = echo
    piece: int = 1 << 20
    status: str = "101 Switching Protocols"
    accept: str = ACCEPT
    extension: str = ""
    broadcast: bool = False
    """Whether every socket is sent the answer."""
    fragmented: bool = False
    """Whether messages may come in several frames."""
    frames: list[tuple[int, int]] = field(default_factory=list)
    """The first byte and the size of each of them."""
    close_after: int = 1 << 30
    seen: list[bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    def head(self) -> bytes:
        """Return the answer to the handshake."""
        fields = ["Upgrade: websocket", "Connection: Upgrade", f"sec-websocket-accept: {self.accept}"]
        fields += [f"Sec-WebSocket-Extensions: {self.extension}"] if self.extension else []
        return "\r\n".join([f"HTTP/1.1 {self.status}", *fields, "", ""]).encode()

    def serve(self, client: socket.socket) -> None:
        """Answer one client until it leaves."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, client.makefile("rb") as reader:
            while reader.readline() != b"\r\n":
                pass
            self.sockets.append(client)
            client.sendall(self.head())
            inflate, parts = zlib.decompressobj(-15), b""
            while head := reader.read(2):
                opcode, payload = head[0] & 15, self.read_payload(reader.read, head[1])
                if opcode == PONG:
                    self.pongs.append(payload)
                    continue
                self.frames.append((head[0], len(payload)))
                if self.fragmented and not head[0] & 0x80:
                    parts += payload
                    continue
                payload, parts = parts + payload, b""
                assert self.fragmented or head[0] == 0x80 | TEXT | (0x40 if self.extension else 0)
                if "client_no_context_takeover" in self.extension:
                    inflate = zlib.decompressobj(-15)
                self.take(client, inflate.decompress(payload + TAIL) if self.extension else payload)
                if len(self.seen) >= self.close_after:
                    return

    def read_payload(self, read: Callable[[int], bytes], length: int) -> bytes:
        """Read the rest of a client's frame."""
        assert length & 0x80
        n = length & 0x7F
        if n >= 126:
            n = int.from_bytes(read(2 if n == 126 else 8), "big")
        key, masked = read(4), read(n)
        return bytes(byte ^ key[at & 3] for at, byte in enumerate(masked))

    def take(self, client: socket.socket, text: bytes) -> None:
        """Note a message and answer it."""
        self.seen.append(text)
        sent = self.answer(text)
        for at in range(0, len(sent), self.piece):
            for each in self.sockets if self.broadcast else [client]:
                each.sendall(sent[at : at + self.piece])


def command(tmp_path: Path, port: int, message: bytes, *options: str) -> list[str]:
    """Return the load generator's command."""
    (tmp_path / "request").write_bytes(OFFER if "--deflate" in options else UPGRADE)
    (tmp_path / "message").write_bytes(message)
    files = ["--request", str(tmp_path / "request"), "--message", str(tmp_path / "message")]
    return [str(socket_load_generator()), "--port", str(port), *files, "--accept", ACCEPT, *options]


def load(
    tmp_path: Path, port: int, *options: str, message: bytes = telegram(64)
) -> subprocess.CompletedProcess[str]:
    """Run the load generator to its end."""
    wanted = options if {"--requests", "--seconds"} & set(options) else (*options, "--requests", "20")
    words = command(tmp_path, port, message, *wanted)
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("size", [16, 125, 126, 65535, 65536])
def test_echoes_in_any_pieces_are_counted(tmp_path: Path, piece: int, size: int) -> None:
    if size > 126 and piece == 1:
        piece = 1001
    message = telegram(size)
    peer = Peer(piece=piece)
    with listening(peer.serve) as port:
        done = load(tmp_path, port, "--requests", "5", "--connections", "2", message=message)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["requests"] == 5
    assert found["bytes"] == 5 * len(frame(message))
    assert 0 < found["p50_us"] <= found["p99_us"] <= found["max_us"]
    assert {text[16:] for text in peer.seen} == {message[16:]}
    assert len({text[:16] for text in peer.seen}) == 5


def fragments(text: bytes) -> bytes:
    """Answer in three frames, with a ping between them."""
    return b"".join(
        [
            frame(text[:5], first=0),
            frame(b"hello", PING),
            frame(text[5:], 0, 0),
            frame(b"", 0),
            frame(b"", PING),
        ]
    )


def test_fragments_are_joined_and_pings_answered(tmp_path: Path) -> None:
    peer = Peer(fragments)
    with listening(peer.serve) as port:
        assert load(tmp_path, port).returncode == 0
    assert peer.pongs[:4] == [b"hello", b"", b"hello", b""]


class Deflating:
    """Compresses answers as a server does, in one frame or two."""

    def __init__(self, bits: int, keep: bool, split: bool) -> None:
        self.bits, self.keep, self.split = bits, keep, split
        self.stream = zlib.compressobj(6, zlib.DEFLATED, -bits)

    def __call__(self, text: bytes) -> bytes:
        packed = self.stream.compress(text) + self.stream.flush(zlib.Z_SYNC_FLUSH)
        assert packed.endswith(TAIL)
        if not self.keep:
            self.stream = zlib.compressobj(6, zlib.DEFLATED, -self.bits)
        packed = packed[:-4]
        if not self.split:
            return frame(packed, first=0xC0)
        return frame(packed[:3], first=0x40) + frame(packed[3:], 0)


@pytest.mark.parametrize("size", [64, 70_000])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    ("parameters", "bits", "keep"),
    [
        ("", 15, True),
        ("; server_no_context_takeover; client_no_context_takeover", 15, False),
        ("; server_max_window_bits=10; client_max_window_bits=9", 10, True),
        ('; client_max_window_bits="12"', 15, True),
    ],
)
@pytest.mark.parametrize("options", [(), ("--fresh",)])
def test_deflated_messages_go_both_ways(
    tmp_path: Path, size: int, split: bool, parameters: str, bits: int, keep: bool, options: tuple[str, ...]
) -> None:
    peer = Peer(Deflating(bits, keep, split), extension=DEFLATE + parameters)
    with listening(peer.serve) as port:
        done = load(tmp_path, port, "--deflate", *options, "--requests", "4", message=telegram(size))
    assert done.stderr == ""
    assert {text[16:] for text in peer.seen} == {telegram(size)[16:]}


def test_answers_need_not_be_deflated(tmp_path: Path) -> None:
    with listening(Peer(extension=DEFLATE).serve) as port:
        assert load(tmp_path, port, "--deflate", "--connections", "3").returncode == 0


def test_a_message_of_the_agreed_window_refers_no_further_back(tmp_path: Path) -> None:
    """Bytes that repeat after 600 are beyond a window of 9 bits, so that they cost as much as before."""
    sizes: list[int] = []

    class Weighing(Peer):
        def read_payload(self, read: Callable[[int], bytes], length: int) -> bytes:
            payload = super().read_payload(read, length)
            sizes.append(len(payload))
            return payload

    noise = bytes(33 + (at * at * 7919 >> 5) % 90 for at in range(600))
    for bits in (9, 15):
        with listening(Weighing(extension=f"{DEFLATE}; client_max_window_bits={bits}").serve) as port:
            assert load(tmp_path, port, "--deflate", "--requests", "1", message=noise * 2).returncode == 0
    assert sizes[0] > 1.5 * sizes[1]


@pytest.mark.parametrize(("fragments", "sizes"), [(2, [32, 32]), (5, [12, 12, 12, 12, 16]), (64, [1] * 64)])
def test_a_message_goes_in_fragments(tmp_path: Path, fragments: int, sizes: list[int]) -> None:
    peer = Peer(fragmented=True)
    with listening(peer.serve) as port:
        done = load(tmp_path, port, "--requests", "2", f"--fragments={fragments}")
    assert done.returncode == 0, done.stderr
    firsts = [TEXT, *[0] * (fragments - 2), 0x80]
    assert peer.frames == 2 * list(zip(firsts, sizes, strict=True))
    assert [text[16:] for text in peer.seen] == 2 * [telegram(64)[16:]]


def test_a_broadcast_is_one_request(tmp_path: Path) -> None:
    peer = Peer(broadcast=True)
    with listening(peer.serve) as port:
        done = load(tmp_path, port, "--broadcast", "--connections", "10", "--requests", "7")
    found = json.loads(done.stdout)
    assert found["requests"] == len(peer.seen) == 7
    assert found["bytes"] == 70 * len(frame(telegram(64)))


def test_a_broadcast_must_reach_every_socket(tmp_path: Path) -> None:
    class Forgetful(Peer):
        def take(self, client: socket.socket, text: bytes) -> None:
            if len(self.seen) == 3:
                self.sockets.pop().shutdown(socket.SHUT_RDWR)
            super().take(client, text)

    with listening(Forgetful(broadcast=True).serve) as port:
        done = load(tmp_path, port, "--broadcast", "--connections", "5")
    assert done.returncode == 1


def test_a_phase_may_end_by_the_clock(tmp_path: Path) -> None:
    with listening(Peer().serve) as port:
        done = load(tmp_path, port, "--seconds", "0.1", "--warm", "0.05")
    assert json.loads(done.stdout)["seconds"] >= 0.1


def stale(text: bytes) -> bytes:
    """Answer as if the message were another."""
    return frame(b"0" * 16 + text[16:])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda text: frame(text[:40] + b"!" + text[41:]), "a wrong message near byte 0"),
        (stale, "a wrong message"),
        (lambda text: frame(text[:-1]), "a message of 63 bytes, not 64"),
        (lambda text: frame(text + b"!"), "a message of more than 64 bytes"),
        (lambda text: frame(text) * 2, "was not asked for"),
        (lambda text: frame(text, BINARY), "the opcode 2"),
        (lambda text: frame(text, 0), "the opcode 0"),
        (lambda text: frame(text[:9], first=0) + frame(text[9:]), "the opcode 1"),
        (lambda text: frame(text, first=0xA0), "a reserved bit"),
        (lambda text: frame(text, first=0xC0), "may not be compressed"),
        (lambda text: b"\x81\xc0" + bytes(4) + text, "masked"),
        (lambda text: frame(b"x" * 126, PING), "a wrong control frame"),
        (lambda text: frame(b"", PING, 0), "a wrong control frame"),
        (lambda text: frame(b"", 11), "a wrong control frame"),
        (lambda text: frame(b"\x03\xf3so be it", CLOSE), "closed with 1011: so be it"),
        (lambda text: frame(b"", CLOSE), "closed with 1005"),
    ],
)
def test_a_wrong_answer_ends_the_run(tmp_path: Path, answer: Callable[[bytes], bytes], reason: str) -> None:
    with listening(Peer(answer).serve) as port:
        done = load(tmp_path, port)
    assert done.returncode == 1
    assert done.stdout == ""
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda text: frame(b"\xff" * 8, first=0xC0), "cannot be inflated"),
        (lambda text: frame(text[:9], first=0) + frame(text[9:], 0, 0xC0), "may not be compressed"),
        (lambda text: Deflating(15, True, False)(text * 2), "a message of more than 64 bytes"),
        (lambda text: Deflating(15, True, False)(text[:60]), "a message of 60 bytes, not 64"),
        (lambda text: Deflating(15, True, False)(text[::-1]), "a wrong message"),
    ],
)
def test_a_wrong_deflated_answer_ends_the_run(
    tmp_path: Path, answer: Callable[[bytes], bytes], reason: str
) -> None:
    with listening(Peer(answer, extension=DEFLATE).serve) as port:
        done = load(tmp_path, port, "--deflate")
    assert done.returncode == 1
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("peer", "options", "reason"),
    [
        (Peer(status="200 OK"), (), "not a handshake: HTTP/1.1 200 OK"),
        (Peer(accept="nonsense"), (), "a wrong Sec-WebSocket-Accept"),
        (Peer(accept=ACCEPT + "x"), (), "a wrong Sec-WebSocket-Accept"),
        (Peer(extension=DEFLATE), (), "was not offered"),
        (Peer(), ("--deflate",), "was not agreed to"),
        (Peer(extension="x-other"), ("--deflate",), "was not agreed to"),
        (Peer(close_after=3), (), "closed|recv|send"),
    ],
)
def test_a_wrong_handshake_or_a_lost_connection_ends_the_run(
    tmp_path: Path, peer: Peer, options: tuple[str, ...], reason: str
) -> None:
    with listening(peer.serve) as port:
        done = load(tmp_path, port, *options)
    assert done.returncode == 1
    assert any(part in done.stderr for part in reason.split("|"))


@pytest.mark.parametrize(
    "options",
    [
        ("--requests", "0"),
        ("--fresh",),
        ("--what",),
        ("--connections", "0"),
        ("--fragments", "65"),
        ("--fragments", "0"),
    ],
)
def test_a_senseless_command_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert load(tmp_path, 1, *options).returncode == 1


def test_a_short_message_is_refused(tmp_path: Path) -> None:
    assert "at least 16 bytes" in load(tmp_path, 1, message=b"too short").stderr


@pytest.mark.parametrize(("close", "code"), [(False, 0), (True, 1)])
def test_idle_sockets_answer_pings_and_must_stay_open(tmp_path: Path, close: bool, code: int) -> None:
    peer = Peer()
    with listening(peer.serve) as port:
        words = command(tmp_path, port, telegram(64), "--requests", "1", "--gate")
        with subprocess.Popen(
            words, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as client:
            assert client.stdout is not None and client.stdin is not None
            assert client.stdout.readline() == "ready\n"
            client.stdin.write("go\n")
            client.stdin.flush()
            assert '"requests": 1,' in client.stdout.readline()
            peer.sockets[0].sendall(frame(b"awake?", PING))
            while not peer.pongs:
                pass
            if close:
                peer.sockets[0].shutdown(socket.SHUT_RDWR)
                client.wait(10)
            _, complaint = client.communicate(None if close else "end\n", timeout=10)
    assert peer.pongs == [b"awake?"]
    assert client.returncode == code
    assert ("closed" in complaint) is close

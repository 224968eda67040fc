"""What the soak asks for on WebSockets: scenes of one of them, in which every message is checked."""

from __future__ import annotations

import random
from contextlib import closing

from websocket_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    PING,
    TEXT,
    Deflater,
    Frame,
    Peer,
    close_frame,
    frame,
    reach,
)

from proof.soak_http import Scene, Told, stuff
from proof.soak_server import Soaked

GOING = (1001, 1012)
"""Codes of a close frame by which a server that stops says so."""


def message(peer: Peer) -> Frame:
    """Read a message; a close frame of a server that stops tells."""
    found = peer.next()
    if found.opcode == CLOSE and found.code in GOING:
        raise Told(f"by the code {found.code}")
    return found


def left(peer: Peer) -> None:
    """Close, and see the close frame returned, and then the connection closed."""
    peer.send(close_frame(1000))
    code = peer.closing()[0]
    if code in GOING:
        raise Told(f"by the code {code}")
    assert code == 1000 and peer.closed(), code


def echo(server: Soaked, rnd: random.Random) -> int:
    """Send messages whole and in fragments, with pings amid them, and get each back."""
    count = rnd.randint(1, 8)
    with closing(reach(server)) as peer:
        for n in range(count):
            data = stuff(rnd, rnd.choice((20, 2_000, 70_000)))
            cut = rnd.randint(0, len(data))
            if rnd.random() < 0.5:
                peer.binary(data)
            else:
                ping = frame(PING, b"%d" % n)
                parts = frame(BINARY, data[:cut], fin=False), ping, frame(CONTINUATION, data[cut:])
                peer.send(b"".join(parts))
            assert message(peer).payload == data
        peer.text("häßlich")
        assert message(peer) == Frame(TEXT, "häßlich".encode())
        left(peer)
    return count + 1


def deflate(server: Soaked, rnd: random.Random) -> int:
    """Send compressed messages, and get each back."""
    offer = rnd.choice((DEFLATE, f"{DEFLATE}; client_no_context_takeover; server_no_context_takeover"))
    with closing(reach(server, offer=offer)) as peer:
        compress = Deflater(peer.agreed)
        for n in range(6):
            text = (f"message {n} " * rnd.randint(1, 400)).encode()
            peer.send(frame(TEXT, compress(text), rsv=4))
            assert message(peer).payload == text
        left(peer)
    return 6


def ends(server: Soaked, rnd: random.Random) -> int:
    """End WebSockets in every other way: abruptly, by the application, by its failure, by a wrong frame; be denied."""
    way = rnd.randrange(5)
    if way == 0:
        with server.connect() as client:
            denied = Peer(client.socket)
            denied.ask_upgrade("/other")
            assert denied.answer().status == 403
            return 1
    with closing(reach(server)) as peer:
        if way == 1:
            peer.send(frame(BINARY, rnd.randbytes(3_000))[:1_000])
            peer.reset()
            return 0
        wrong = frame(3, b"no such kind")
        sent, code = {2: (b"close", 3001), 3: (b"fail", 1011), 4: (wrong, 1002)}[way]
        peer.send(sent if sent is wrong else frame(TEXT, sent))
        found = peer.closing()[0]
        if found in GOING:
            raise Told(f"by the code {found}")
        assert found == code, (found, code)
    return 1


WEBSOCKET_SCENES: tuple[Scene, ...] = (echo, deflate, ends)

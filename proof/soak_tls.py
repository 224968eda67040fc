"""What the soak asks of TLS itself: sessions that are resumed, and handshakes that come to nothing."""

from __future__ import annotations

import random
import ssl
import time

from harness import Client

from proof.soak_http import Scene, good
from proof.soak_server import Soaked


def resumed(server: Soaked, rnd: random.Random) -> int:
    """Make a connection with each version of TLS, and resume its session with another."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = server.context(cached=False)
        context.minimum_version = context.maximum_version = version
        session = None
        for n in range(2):
            plain = server.dial_plain()
            connection = context.wrap_socket(plain, server_hostname="localhost", session=session)
            with Client(connection) as client:
                good(client.ask("GET", "/page?n=tls"), b"page tls")
                assert n == 0 or connection.session_reused or server.changing, "not resumed"
                session = connection.session
    return 4


def broken_handshake(server: Soaked, rnd: random.Random) -> int:
    """Begin a handshake and leave, or send what is none; plain HTTP is told so."""
    way = rnd.randrange(3)
    with Client(server.dial_plain()) as client:
        if way == 0:
            client.request("GET", "/page")
            assert client.answer().status == 400
            return 1
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = server.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            hello.do_handshake()
        except ssl.SSLWantReadError:
            first = outgoing.read()
        client.send(first[: rnd.choice((3, 100, len(first)))] if way == 1 else b"\x16\x03\x01\0\5nonsense")
        time.sleep(0.01)
        if rnd.random() < 0.5:
            client.reset()
    return 0


TLS_SCENES: tuple[Scene, ...] = (resumed, broken_handshake)

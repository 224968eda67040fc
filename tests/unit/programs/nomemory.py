"""The binding at work with its N-th allocation failing, for every N: it lives, and nothing but MemoryError is seen.

Run as a program; prints for each scenario how many allocations were made to fail and what of it was seen, then what was
wrong, and the status of an answer that was given afterwards.
"""

from __future__ import annotations

import _testcapi
import asyncio
import contextlib
import contextvars
import gc
import importlib.util
import json
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGUSR2
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core_bench import HEAD, POST, Bench, Library, answer, make_server, suspend
from scgi import SCGI
from test_core_frames import Frames, frame
from test_core_tls import PLAIN

from tricorn import _core, protocols, versions
from tricorn.board import Board
from tricorn.protocols.websocket import Binding

REQUESTS = (
    b"GET /a%20b?c=d HTTP/1.1\r\nHost: test.example\r\nX-Unknown: one\r\nCookie: two\r\n\r\n",
    b"BREW /%41" + b"a" * 600 + b" HTTP/1.0\r\nHost: test.example\r\nConnection: keep-alive\r\n\r\n",
    POST + b"abc",
    b"GET /fail HTTP/1.1\r\nHost: test.example\r\n\r\n",
    b"POST /wait HTTP/1.1\r\nHost: test.example\r\nContent-Length: 3\r\n\r\n",
    b"abc",
    b"\0\r\n\r\n",
)
PROXIED = (
    b"GET /a HTTP/1.1\r\nHost: test.example\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
    b"X-Forwarded-Host: public.example\r\nX-Forwarded-Port: 8443\r\nX-Forwarded-Prefix: /api\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: test.example\r\n\r\n",
    b"GET /b HTTP/1.0\r\nConnection: keep-alive\r\nForwarded: for=192.0.2.1;host=public.example\r\n\r\n",
)
ENOUGH = 120
"""So many failures in a row that nobody notices are beyond the last allocation."""

wrong: list[str] = []
seen = [0]
cancelled = [0]
answered = {"http/1.1": 0, "h2": 0}
"""How many clients of TLS had an answer."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Do a little of everything that an application can do."""
    if scope["path"] == "/fail":
        raise ValueError("on purpose")
    if scope["path"] == "/wait":
        message = await receive()
        await send({**HEAD, "headers": [(b"x-a", b"b")] * 40})
        await send({"type": "http.response.body", "body": message.get("body", b"")})
    elif scope["method"] == "POST":
        message = await receive()
        await send({**HEAD, "headers": [(b"x-a", b"b"), [b"x-c", b"d"]]})
        await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": memoryview(b"view"), "more_body": True})
        await send({"type": "http.response.body", "body": bytearray(70_000)})
    else:
        await suspend(scope, receive, send)


def note(what: str, error: BaseException | None) -> None:
    """Keep what is not a shortage of memory, or a consequence of one."""
    seen[0] += isinstance(error, MemoryError)
    if isinstance(error, SystemError) or "bad" in str(error):
        wrong.append(f"{what}: {error!r}")


def step(at: Bench, runners: list[Any]) -> None:
    """Step each serving task once; the library would start another where one has ended."""
    for runner in list(runners):
        try:
            runner.send(None)
        except StopIteration:
            runners.remove(runner)
        except BaseException as error:
            note("step", error)
            runners.remove(runner)
    if not runners:
        runners.append(at.server.runner())


def serve(at: Bench, requests: tuple[bytes, ...] = REQUESTS, leader: Any = None) -> None:
    """Send every request and step the server through them, by a task that leads already or a new one."""
    runners: list[Any] = [leader or at.server.runner()]
    for request in requests:
        at.client.sendall(request)
        for _ in range(6):
            step(at, runners)
            if at.library.spawned:
                at.library.spawned -= 1
                runners.append(at.server.runner())
    for runner in runners:
        runner.close()


def serving() -> tuple[Callable[[], None], Callable[[], None]]:
    """Answer, refuse and log requests of every kind."""
    at = Bench(app, access_log=lambda *_: None, root_path="/root", cancels=3)

    def end() -> None:
        for told in at.library.errors:
            note("told", told)
        at.client.close()
        at.server.close()

    return lambda: serve(at), end


def forwarding() -> tuple[Callable[[], None], Callable[[], None]]:
    """Answer what comes from a proxy, and its check."""
    at = Bench(suspend, root_path="/root")
    at.server.set_proxies(
        allow="127.0.0.1", fields=63, hops=0, health_path="/healthz", ready_path="", ready_lag_ms=0
    )

    def end() -> None:
        for told in at.library.errors:
            note("told", told)
        at.client.close()
        at.server.close()

    return lambda: serve(at, PROXIED), end


def logging() -> tuple[Callable[[], None], Callable[[], None]]:
    """Log requests by calls with lines, and look at formats."""
    at = Bench(answer)

    def run() -> None:
        _core.check_access_format("json")
        at.server.log_access(
            format="%(r)s %({content-type}o)s %(request_id)s",
            excluded=b"/a\0/b*\0",
            colors=False,
            library="none",
            seed=1,
            fd=-1,
            piece=0,
            call=lambda _: None,
            text=True,
            on_lost=lambda *_: None,
        )
        serve(at)

    def end() -> None:
        for told in at.library.errors:
            note("told", told)
        at.client.close()
        at.server.close()

    return run, end


def leaving() -> tuple[Callable[[], None], Callable[[], None]]:
    """Cancel a request whose client has left, and one whose time is over."""
    at = Bench(suspend, cancels=3, extensions={"tricorn.shutdown": None}, limits={"request_ms": 20})
    late = socket.create_connection(at.client.getpeername())

    def run() -> None:
        runners: list[Any] = []
        for client in (at.client, late):  # each in a task of its own
            runners.append([at.server.runner()])
            step(at, runners[-1])
            client.sendall(REQUESTS[0])
            step(at, runners[-1])
        runners.append([at.server.runner()])
        at.client.close()
        time.sleep(0.025)
        for _ in range(4):
            step(at, runners[-1])
        for task in runners:
            task[-1].close()

    def end() -> None:
        cancelled[0] = max(cancelled[0], len(at.library.cancelled))
        late.close()
        at.server.close()

    return run, end


async def wake(scope: Any, receive: Any, send: Any) -> None:
    """Wait for what another thread could post."""
    signal = scope["extensions"]["tricorn.cancel_on_disconnect"].signal()
    try:
        signals.append(signal)
        await signal.wait()
        await signal.wait(True)
    finally:
        signal.close()
    await answer(scope, receive, send)


signals: list[_core.Signal] = []


def waking() -> tuple[Callable[[], None], Callable[[], None]]:
    """Wake a request by a signal; the second time its client has left."""
    at = Bench(wake)

    def run() -> None:
        runners: list[Any] = [at.server.runner()]
        at.client.sendall(REQUESTS[0])
        for _ in range(6):
            step(at, runners)
            if at.library.spawned:
                at.library.spawned -= 1
                runners.append(at.server.runner())
            for signal in signals:
                signal.post()
        for runner in runners:
            runner.close()

    def end() -> None:
        signals.clear()
        for told in at.library.errors:
            note("told", told)
        at.client.close()
        at.server.close()

    return run, end


UPGRADE = (
    b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: one, two\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
FRAMES = (
    b"\x81\x85\0\0\0\0hello",
    b"\x82\x83\0\0\0\0\x01\x02\x03\x89\x81\0\0\0\0p",
    b"\xc1\x85\0\0\0\0\x02\x06\0\0\0",  # compressed
    b"\x88\x85\0\0\0\0\x0f\xa0bye",
)


async def talk(scope: Any, receive: Any, send: Any) -> None:
    """Do a little of everything that a WebSocket's application can do."""
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/denied":
        await send({"type": "websocket.http.response.start", "status": 403, "headers": [(b"x-a", b"b")]})
        await send({"type": "websocket.http.response.body", "body": b"no"})
        return
    fields = [(b"x-a", b"b")] * 40
    await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][1], "headers": fields})
    while (event := await receive())["type"] == "websocket.receive":
        await send(event | {"type": "websocket.send"})
        await send({"type": "websocket.send", "bytes": bytearray(b"view" * 100)})
        missed, foreign, pause = _core.broadcast([send] * 70 + [print], {"text": "a" * 500 + "ä"})
        if missed or len(foreign) != 1:
            raise RuntimeError("bad broadcast")
        if pause is not None:
            await pause
    await send({"type": "websocket.close", "code": 3000, "reason": "ü"})


def talking() -> tuple[Callable[[], None], Callable[[], None]]:
    """Open WebSockets, exchange messages and close them."""
    at = Bench(talk, access_log=lambda *_: None, websockets={"level": 1})
    clients = [at.client, *(socket.create_connection(at.client.getpeername()) for _ in range(3))]

    def run() -> None:
        runners: list[Any] = [at.server.runner()]
        for client, path in zip(clients, (b"talks", b"closes", b"refused", b"denied"), strict=True):
            client.sendall(UPGRADE % path)
            for piece in (b"", *FRAMES) if path == b"talks" else (b"",):
                with contextlib.suppress(OSError):
                    client.sendall(piece)
                for _ in range(5):
                    step(at, runners)
                    if at.library.spawned:
                        at.library.spawned -= 1
                        runners.append(at.server.runner())
        at.server.stop()
        for runner in runners:
            runner.close()

    def end() -> None:
        for told in at.library.errors:
            note("told", told)
        for client in clients:
            client.close()
        at.server.close()

    return run, end


def framing() -> tuple[Callable[[], None], Callable[[], None]]:
    """Have the frames of a WebSocket read and written by a class in Python."""
    binding = Binding(Frames, lambda error: note("frames", error))  # type: ignore[arg-type]
    at = Bench(echo, websockets={}, ws_protocol=binding, limits={"ws_ping_ms": 1})

    def run() -> None:
        runners: list[Any] = [at.server.runner()]
        pieces = (
            frame(1, b"a") + frame(9, b"p"),
            frame(1, b"b" * 100),
            frame(10, b""),
            frame(8, b"\x0f\xa0bye"),
        )
        for piece in (UPGRADE % b"frames", *pieces):
            with contextlib.suppress(OSError):
                at.client.sendall(piece)
            for _ in range(4):
                step(at, runners)
                if at.library.spawned:
                    at.library.spawned -= 1
                    runners.append(at.server.runner())
        for runner in runners:
            runner.close()

    def end() -> None:
        for told in at.library.errors:
            note("told", told)
        at.client.close()
        at.server.close()

    return run, end


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Send every message back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send(event | {"type": "websocket.send"})
        _core.broadcast([send], {"text": "to all"})


def parsing() -> tuple[Callable[[], None], Callable[[], None]]:
    """Have the protocol read and written by a class in Python."""
    at = Bench(
        answer,
        parser=protocols.Binding(
            lambda: SCGI(protocols.Limits(1000, 1000, 1000)),
            lambda error: note("parser", error),
            answer=protocols.Answer,
        ),
        fields=b"x-a: b\r\n",
    )

    def run() -> None:
        runners: list[Any] = [at.server.runner()]
        variables = b"CONTENT_LENGTH\0003\0REQUEST_METHOD\0POST\0REQUEST_URI\0/a\0HTTP_A\0b\0"
        for piece in (b"%d:%s," % (len(variables), variables), b"abc"):
            at.client.sendall(piece)
            for _ in range(3):
                step(at, runners)
        for runner in runners:
            runner.close()

    def end() -> None:
        at.client.close()
        at.server.close()

    return run, end


FOLDER = tempfile.TemporaryDirectory()
FILES = Path(FOLDER.name)
"""Where the certificates are."""
H2_REQUEST = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # no settings of ours
    b"\0\0\6\1\5\0\0\0\1\x82\x87\x84\x41\1a"  # GET https a /, whose stream ends
)


def make_certificates(folder: Path) -> None:
    """Write a certificate that servers and clients of the tests have, and its key."""
    certificate, key = _core.make_dev_cert("localhost", "DNS:localhost", 2)
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key)


def make_tls(**changes: Any) -> object:
    """Read the certificates as a server does that asks clients for theirs."""
    certificate, key = FILES / "cert.pem", FILES / "key.pem"
    usual = {"clients": 1, "tells_faults": True, "authorities": certificate, "http2": True}
    return _core.make_tls(certificate=certificate, key=key, **{**PLAIN, **usual, **changes})[0]


def certifying() -> tuple[Callable[[], None], Callable[[], None]]:
    """Make certificates, and read them in every place that they may stand in."""
    server = make_server(answer, Library())
    pair = os.fsencode(FILES / "cert.pem"), os.fsencode(FILES / "key.pem")

    def run() -> None:
        _core.make_dev_cert("localhost", "DNS:localhost", 2)
        with contextlib.suppress(ValueError):
            _core.make_dev_cert("localhost", "nonsense", 2)
        with contextlib.suppress(ValueError):
            make_tls(revoked=(b"/no-such-list",))
        server.set_tls(
            make_tls(more=(pair,), seed=bytes(32), password="secret", suites="TLS_AES_128_GCM_SHA256")
        )
        server.set_tls(make_tls(authorities=None, clients=0))

    return run, server.close


def shake(client: ssl.SSLSocket, leader: Any) -> None:
    """Have a client, whose socket does not block, speak TLS with the server, which is stepped by hand."""
    until, done = time.monotonic() + 10, False
    while not done:
        if time.monotonic() > until:
            raise TimeoutError("bad handshake")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
            done = True
        leader.send(None)


def securing(offer: str, *requests: bytes, certified: bool) -> tuple[Callable[[], None], Callable[[], None]]:
    """Answer requests over TLS, of a client with a certificate or without."""
    at = Bench(suspend, extensions={"tls": {}})
    at.server.set_tls(make_tls())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(FILES / "cert.pem")
    context.set_alpn_protocols([offer])
    if certified:
        context.load_cert_chain(FILES / "cert.pem", FILES / "key.pem")
    at.client.setblocking(False)
    at.client.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # a request does not wait until Finished is seen
    client = context.wrap_socket(at.client, server_hostname="localhost", do_handshake_on_connect=False)
    at.client = client
    leader = at.leader()
    shake(client, leader)

    def end() -> None:
        for told in at.library.errors:
            note("told", told)
        with contextlib.suppress(OSError):
            answered[offer] += any(b"ok" in client.recv(65536) for _ in range(4))  # a record each
        client.close()
        at.server.close()

    return lambda: serve(at, requests, leader), end


def knowing() -> tuple[Callable[[], None], Callable[[], None]]:
    """Tell applications the certificate of their client, and what is wrong with it."""
    return securing("http/1.1", REQUESTS[0], REQUESTS[0], certified=True)


def streaming() -> tuple[Callable[[], None], Callable[[], None]]:
    """Answer a stream of HTTP/2 whose client is unknown."""
    return securing("h2", H2_REQUEST, certified=False)


def loading() -> tuple[Callable[[], None], Callable[[], None]]:
    """Load the extension once more, as another interpreter would."""
    spec = importlib.util.find_spec("tricorn._core")
    assert spec is not None and spec.loader is not None
    loader = spec.loader

    def load() -> None:
        loader.exec_module(importlib.util.module_from_spec(spec))

    return load, lambda: None


def opening() -> tuple[Callable[[], None], Callable[[], None]]:
    """Make a server, attach a library, and listen everywhere."""
    library, folder, made = Library(), tempfile.TemporaryDirectory(), socket.create_server(("127.0.0.1", 0))
    servers: list[_core.Server] = []
    board = Board.create(1)

    def run() -> None:
        servers.append(make_server(answer, library))
        library.attach(servers[-1])
        for fd in _core.listen_tcp("127.0.0.1", 0, 16):
            servers[-1].listen(fd, 16)
        servers[-1].listen(_core.listen_unix(f"{folder.name}/socket", 0o600, 16), 16, ("socket", None))
        servers[-1].listen(made.detach(), 16)
        servers[-1].counters()
        board.clear(0)
        servers[-1].report(board.fd, 0)

    def end() -> None:
        for server in servers:
            server.close()
        made.close()
        board.close()
        folder.cleanup()

    return run, end


def joining() -> tuple[Callable[[], None], Callable[[], None]]:
    """Take a place among workers, check a format, and have a deadline."""
    servers: list[_core.Server] = []
    board = Board.create(1)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def run() -> None:
        servers.append(make_server(answer, Library()))
        board.clear(0)
        servers[-1].report(board.fd, 0)
        servers[-1].balance(ours.fileno(), [theirs.fileno()])
        servers[-1].set_ready(True)
        with contextlib.suppress(ValueError):
            _core.check_access_format("%(nonsense)s and more than is shown of it")
        _core.check_access_format("%(h)s %(U)s")
        _core.deadline(60, b"late", 4)
        _core.heed_signals([SIGUSR2], (0, 0, 0), b"late", 4, os.getppid(), 1.0)
        _core.deadline(0, b"", 0)

    def end() -> None:
        _core.deadline(0, b"", 0)
        for server in servers:
            server.close()
        ours.close()
        theirs.close()
        board.close()

    return run, end


class Loop:
    """What a bridge needs of an asyncio loop."""

    def __init__(self) -> None:
        self.due: list[Any] = []

    def call_soon(self, callback: Any, argument: Any, *, context: Any = None) -> object:
        """Keep the call."""
        self.due.append((callback, argument, context))
        return self


def bridging() -> tuple[Callable[[], None], Callable[[], None]]:
    """Wait, wake and cancel as asyncio's tasks do."""
    loop, context, called = Loop(), contextvars.copy_context(), list[Any]()

    def run() -> None:
        bridge = _core.LoopBridge(loop, asyncio.CancelledError)
        for give_context in ({}, {"context": context}):
            woken, cancelled, leading = bridge.park(), bridge.park(), bridge.wait()
            for future in (woken, cancelled, leading):
                future.add_done_callback(called.append, **give_context)
            woken.wake()
            cancelled.cancel("why")
            bridge.ready()
            first, second, leading = bridge.park(), bridge.park(), bridge.wait()
            first.add_done_callback(called.append, **give_context)
            second.add_done_callback(called.append, **give_context)
            leading.add_done_callback(
                lambda _, both=(first, second): [one.wake() for one in both], **give_context
            )
            bridge.ready()
            next(iter(bridge.park()))
            with contextlib.suppress(asyncio.CancelledError):
                cancelled.result()

    return run, loop.due.clear


SCENARIOS = (
    serving,
    forwarding,
    logging,
    leaving,
    waking,
    talking,
    framing,
    parsing,
    loading,
    opening,
    joining,
    bridging,
    *((certifying, knowing, streaming) if versions.has_tls() else ()),
)


def fail_at(number: int, scenario: Callable[[], tuple[Callable[[], None], Callable[[], None]]]) -> bool:
    """Run a scenario with that allocation failing; returns whether anybody noticed."""
    before = seen[0]
    run, end = scenario()
    gc.collect()  # what the interpreter has kept for later is given back: it would be taken without an allocation
    try:
        _testcapi.set_nomemory(number, number + 1)
        try:
            run()
        finally:
            _testcapi.remove_mem_hooks()
    except BaseException as error:
        note(scenario.__name__, error)
    end()
    return seen[0] > before


def fail_all(scenario: Callable[[], tuple[Callable[[], None], Callable[[], None]]]) -> dict[str, int]:
    """Fail one allocation after another, up to beyond the last."""
    before, number, last = seen[0], 0, 0
    while number - last < ENOUGH:
        number += 1
        if fail_at(number, scenario):
            last = number
    return {"last": last, "seen": seen[0] - before}


def main() -> None:
    """Run every scenario, then serve as ever."""
    sys.unraisablehook = lambda told: note("unraisable", told.exc_value)
    if versions.has_tls():
        make_certificates(FILES)
    for scenario in SCENARIOS:  # once with memory enough: whatever is made at the first time has been made
        run, end = scenario()
        run()
        end()
    gc.collect()
    gc.freeze()
    told: dict[str, Any] = {scenario.__name__: fail_all(scenario) for scenario in SCENARIOS}
    at = Bench(answer)
    runner = at.server.runner()
    runner.send(None)
    at.client.sendall(REQUESTS[0])
    runner.send(None)
    print(
        json.dumps(
            {
                **told,
                "cancelled": cancelled[0],
                "answered": answered,
                "wrong": wrong[:20],
                "status": at.status(),
            }
        )
    )


if __name__ == "__main__":
    main()

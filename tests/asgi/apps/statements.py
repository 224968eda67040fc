"""Probes of what the ASGI specification says of HTTP: each path tries something and answers with what it saw."""

from __future__ import annotations

import threading
from typing import Any

import aio
from kit import Exchange, application, as_routes, plain

calls: list[str] = []
notes: list[Any] = []
waiting: dict[str, aio.Event] = {}
START = {"type": "http.response.start", "status": 200, "headers": []}

BAD_MESSAGES: dict[str, Any] = {
    "not-a-dict": [("type", "http.response.start")],
    "no-type": {"status": 200},
    "type-of-bytes": {"type": b"http.response.start", "status": 200},
    "unknown-type": {"type": "http.response.begin", "status": 200},
    "type-of-websocket": {"type": "websocket.accept"},
    "no-status": {"type": "http.response.start"},
    "status-of-str": {"type": "http.response.start", "status": "200"},
    "status-of-float": {"type": "http.response.start", "status": 200.0},
    "status-too-small": {"type": "http.response.start", "status": 99},
    "status-interim": {"type": "http.response.start", "status": 103},
    "status-too-large": {"type": "http.response.start", "status": 1000},
    "status-negative": {"type": "http.response.start", "status": -200},
    "status-huge": {"type": "http.response.start", "status": 2**70},
    "headers-of-int": {**START, "headers": 5},
    "header-name-of-str": {**START, "headers": [("x-a", b"b")]},
    "header-value-of-str": {**START, "headers": [(b"x-a", "b")]},
    "header-of-three": {**START, "headers": [(b"x-a", b"b", b"c")]},
    "header-of-one": {**START, "headers": [(b"x-a",)]},
    "header-of-bytes": {**START, "headers": [b"ab"]},
    "header-name-empty": {**START, "headers": [(b"", b"b")]},
    "header-name-with-space": {**START, "headers": [(b"x a", b"b")]},
    "header-name-with-colon": {**START, "headers": [(b"x:a", b"b")]},
    "header-name-pseudo": {**START, "headers": [(b":status", b"200")]},
    "header-name-with-crlf": {**START, "headers": [(b"x-a: b\r\nx-evil", b"b")]},
    "header-value-with-crlf": {**START, "headers": [(b"x-a", b"b\r\nx-evil: 1")]},
    "header-value-with-lf": {**START, "headers": [(b"x-a", b"b\nx-evil: 1")]},
    "header-value-with-cr": {**START, "headers": [(b"x-a", b"b\rx-evil: 1")]},
    "header-value-with-nul": {**START, "headers": [(b"x-a", b"b\0c")]},
    "length-not-a-number": {**START, "headers": [(b"content-length", b"five")]},
    "length-negative": {**START, "headers": [(b"content-length", b"-1")]},
    "length-twice": {**START, "headers": [(b"content-length", b"1"), (b"content-length", b"2")]},
    "body-before-start": {"type": "http.response.body", "body": b"x"},
}


async def seen(exchange: Exchange) -> None:
    await exchange.json(calls)


async def noted(exchange: Exchange) -> None:
    await exchange.json(notes)


async def release(exchange: Exchange) -> None:
    """Let what waits for a token go on."""
    await waiting[exchange.query["token"]].set()
    await exchange.answer()


async def until_released(token: str) -> None:
    event = waiting[token] = aio.Event()
    await event.wait()


async def scope(exchange: Exchange) -> None:
    await exchange.json(plain(exchange.scope))


async def types(exchange: Exchange) -> None:
    """The exact types of what the scope holds."""
    held = exchange.scope
    found = {key: type(value).__name__ for key, value in held.items()}
    found["a field"] = sorted({type(part).__name__ for pair in held["headers"] for part in pair})
    found["the fields' lengths"] = sorted({len(pair) for pair in held["headers"]})
    found["the client's port"] = type(held["client"][1]).__name__
    found["the server's port"] = type(held["server"][1]).__name__
    await exchange.json(found)


async def thread(exchange: Exchange) -> None:
    await exchange.json(threading.current_thread() is threading.main_thread())


async def echo(exchange: Exchange) -> None:
    await exchange.answer(await exchange.body())


async def messages(exchange: Exchange) -> None:
    """The messages of the request, then one more after it was answered."""
    found = []
    while not found or found[-1].get("more_body"):
        found.append(await exchange.receive())
    await exchange.json(plain(found))


async def bad_message(exchange: Exchange) -> None:
    """Send what must be refused; a right answer is still possible then."""
    message = BAD_MESSAGES[exchange.query["case"]]
    try:
        await exchange.send(message)
    except Exception as error:
        await exchange.json({"raised": [kind.__name__ for kind in type(error).__mro__], "text": str(error)})
    else:
        await exchange.write(b"nothing was raised", more=False)


async def bad_body(exchange: Exchange) -> None:
    """Send a body of the wrong type after a good start."""
    kinds: dict[str, Any] = {"str": "text", "int": 5, "none": None, "list": [b"x"]}
    await exchange.start()
    try:
        await exchange.send({"type": "http.response.body", "body": kinds[exchange.query["kind"]]})
    except Exception as error:
        await exchange.write(type(error).__name__.encode(), more=False)


async def second_start(exchange: Exchange) -> None:
    """Start twice: the second is refused, the answer is that of the first."""
    await exchange.start(201)
    try:
        await exchange.start(202)
    except RuntimeError as error:
        await exchange.write(type(error).__name__.encode(), more=False)


async def extra_keys(exchange: Exchange) -> None:
    await exchange.send({**START, "later": 1, "trailers": False})
    await exchange.send({"type": "http.response.body", "body": b"fine", "more_body": False, "later": {}})


async def fewest_keys(exchange: Exchange) -> None:
    """Only what is required: the rest has defaults."""
    await exchange.send({"type": "http.response.start", "status": 204})
    await exchange.send({"type": "http.response.body"})


async def after_the_end(exchange: Exchange) -> None:
    """Messages after the last one are ignored."""
    await exchange.answer(b"the answer")
    for message in (START, {"type": "http.response.body", "body": b"more", "more_body": True}):
        await exchange.send(message)


async def trailers(exchange: Exchange) -> None:
    """Trailers that the server never offered to send."""
    await exchange.send({**START, "trailers": True})
    await exchange.write(b"the answer", more=False)
    await exchange.send(
        {"type": "http.response.trailers", "headers": [(b"x-a", b"b")], "more_trailers": False}
    )


async def tamper(exchange: Exchange) -> None:
    """Change everything in the scope that can be changed, after telling what it was."""
    before = plain(exchange.scope)
    exchange.scope["headers"].append((b"x-leak", b"1"))
    for held in ("asgi", "extensions", "state"):
        exchange.scope.setdefault(held, {})["leak"] = 1
    exchange.scope["path"] = exchange.scope["leak"] = "/leak"
    await exchange.json(before)


async def copied_scope(exchange: Exchange) -> None:
    """An exchange works after its scope was emptied: the server does not look into it."""
    exchange.scope.clear()
    await aio.sleep(0.01)
    await exchange.answer(b"fine")


async def raise_early(exchange: Exchange) -> None:
    raise ValueError("on purpose, early")


async def raise_after_start(exchange: Exchange) -> None:
    await exchange.start(200, [(b"x-never", b"sent")])
    raise ValueError("on purpose, after the start")


async def raise_in_body(exchange: Exchange) -> None:
    fields = [(b"content-length", b"100")] if "length" in exchange.query else []
    await exchange.start(200, fields)
    await exchange.write(b"a piece")
    if "later" in exchange.query:
        await aio.sleep(0.01)
    raise ValueError("on purpose, in the body")


async def raise_after_end(exchange: Exchange) -> None:
    await exchange.answer(b"complete")
    raise ValueError("on purpose, after the end")


async def return_early(exchange: Exchange) -> None:
    await aio.sleep(exchange.number("ms") / 1000)


async def return_after_start(exchange: Exchange) -> None:
    await exchange.start()


async def return_in_body(exchange: Exchange) -> None:
    await exchange.start()
    await exchange.write(b"a piece")


async def disconnect_after_end(exchange: Exchange) -> None:
    """Ask for more after the answer: a disconnect, again and again."""
    await exchange.answer(b"complete")
    notes.append(["after the end", [(await exchange.receive())["type"] for _ in range(3)]])


async def disconnect(exchange: Exchange) -> None:
    """Wait for the client to go; then sends fail, soon if not at once, with a subclass of OSError."""
    token = exchange.query["token"]
    await exchange.body()
    notes.append([token, "waits"])
    found = [(await exchange.receive())["type"] for _ in range(3)]
    try:
        await exchange.start()
        for _ in range(1000):
            await exchange.write(b"to nobody")
            await aio.sleep(0.005)
    except OSError as error:
        notes.append([token, found, type(error) is not OSError])
        await fail_as(exchange.query.get("then"), error)


async def fail_as(then: str | None, error: OSError) -> None:
    """Let the exception out in one of the ways that frameworks do."""
    if then == "raise":
        raise error
    if then == "wrap":
        raise RuntimeError("the client has gone") from error
    if then == "group":
        raise BaseExceptionGroup("of a task group", [error])


async def send_until_lost(exchange: Exchange) -> None:
    """Send until it fails."""
    await exchange.start()
    notes.append([exchange.query["token"], "sends"])
    try:
        while True:
            await exchange.write(b"x" * 10_000)
    except OSError as error:
        notes.append([exchange.query["token"], "lost", type(error).__name__])
        raise


async def first_piece(exchange: Exchange) -> None:
    """The first piece is on its way before send() returns; the second comes when it is asked for."""
    await exchange.start()
    await exchange.write(b"first")
    await until_released(exchange.query["token"])
    await exchange.write(b"second", more=False)


async def head_alone(exchange: Exchange) -> None:
    """A start without a body message; the answer comes when it is asked for, with another status."""
    await exchange.start(200)
    await until_released(exchange.query["token"])
    raise ValueError("on purpose, after the head")


async def pieces(exchange: Exchange) -> None:
    """Pieces of every kind of bytes, empty ones too."""
    await exchange.start()
    await exchange.write(b"")
    for piece in (b"bytes,", bytearray(b"bytearray,"), memoryview(b"-memoryview-")[1:-1], b"", b",last"):
        await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
    await exchange.write(b"", more=False)


async def changed_bytearray(exchange: Exchange) -> None:
    """What was sent is what the bytearray held then, or it cannot be changed meanwhile."""
    await exchange.start()
    body = bytearray(b"a" * 3_000_000)
    await exchange.send({"type": "http.response.body", "body": body, "more_body": True})
    try:
        body[:] = b""
    except BufferError:
        body[0] = ord("a")
    await exchange.write(b"", more=False)


async def own_framing(exchange: Exchange) -> None:
    """A Transfer-Encoding of the application is ignored."""
    fields = [(b"transfer-encoding", exchange.query.get("coding", "chunked").encode()), (b"x-kept", b"1")]
    if "length" in exchange.query:
        fields.append((b"content-length", b"4"))
    await exchange.start(200, fields)
    await exchange.write(b"body", more=False)


async def status(exchange: Exchange) -> None:
    """An answer with any status, and a body that some of them forbid."""
    await exchange.start(exchange.number("code"), [(b"x-order", b"1"), (b"x-order", b"2"), (b"x-last", b"")])
    await exchange.write(exchange.query.get("body", "").encode(), more=False)


async def wrong_length(exchange: Exchange) -> None:
    """A body longer or shorter than was said."""
    await exchange.start(200, [(b"content-length", b"%d" % exchange.number("length"))])
    try:
        if "first" in exchange.query:
            await exchange.write(exchange.query["first"].encode())
        await exchange.write(exchange.query["body"].encode(), more=False)
    except Exception as error:
        notes.append([exchange.query["token"], type(error).__name__])
        raise


async def expired_receive(exchange: Exchange) -> None:
    """Inside an expired scope, what has arrived is given and what has not is not waited for."""
    found = []
    for _ in range(2):
        async with aio.expired() as late:
            found.append((await exchange.receive())["type"])
        found.append(bool(late))
    await exchange.json(found)


async def cancelled_receive(exchange: Exchange) -> None:
    """A receive() that waits is cancelled: it ends with the cancellation; the next gets what comes."""
    await exchange.body()

    async def wait() -> None:
        with aio.cancelled():
            await exchange.receive()

    async with aio.group() as group:
        await group.start(wait)
        await aio.sleep(0.01)
        await group.cancel()
    await exchange.answer(b"cancelled")
    notes.append(["cancelled receive", (await exchange.receive())["type"]])


async def many_receives(exchange: Exchange) -> None:
    """Three tasks wait for the client while a fourth sends: each is told that it has gone."""
    await exchange.body()
    token, found = exchange.query["token"], []

    async def wait() -> None:
        found.append((await exchange.receive())["type"])

    async with aio.group() as group:
        for _ in range(3):
            await group.start(wait)
        await exchange.start()
        await exchange.write(b"sent meanwhile")
    notes.append([token, found])


async def both_at_once(exchange: Exchange) -> None:
    """One task receives while another sends what it got."""
    await exchange.start()
    queue: list[bytes] = []
    more = True

    async def read() -> None:
        nonlocal more
        while more:
            message = await exchange.receive()
            queue.append(message["body"])
            more = message["more_body"]

    async with aio.group() as group:
        await group.start(read)
        while more or queue:
            while queue:
                await exchange.write(queue.pop(0))
            await aio.sleep(0.001)
    await exchange.write(b"", more=False)


async def no_start_before_head(exchange: Exchange) -> None:
    await exchange.answer(b"%d" % len(calls))


class Double:
    """An application of ASGI 2: called with the scope, then with receive and send."""

    def __init__(self, scope: Any) -> None:
        assert scope["type"] == "http", "no lifespan"
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        exchange = Exchange(self.scope, receive, send)
        await exchange.json([self.scope["asgi"]["version"], (await exchange.body()).decode()])


def factory() -> Any:
    """Make an application."""
    return app


class Awaitable:
    """An awaitable that is no coroutine; what it runs is one."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __await__(self) -> Any:
        return self.exchange.answer(b"awaited").__await__()


def plain_function(scope: Any, receive: Any, send: Any) -> Any:
    """Call an application that is no coroutine function; what it returns can be awaited."""
    assert scope["type"] == "http", "no lifespan"
    return Awaitable(Exchange(scope, receive, send))


ROUTES = as_routes(
    seen,
    noted,
    release,
    scope,
    types,
    thread,
    echo,
    messages,
    bad_message,
    bad_body,
    second_start,
    extra_keys,
    fewest_keys,
    after_the_end,
    tamper,
    copied_scope,
    raise_early,
    raise_after_start,
    raise_in_body,
    raise_after_end,
    return_early,
    return_after_start,
    return_in_body,
    trailers,
    disconnect_after_end,
    disconnect,
    send_until_lost,
    first_piece,
    head_alone,
    pieces,
    changed_bytearray,
    own_framing,
    status,
    wrong_length,
    expired_receive,
    cancelled_receive,
    many_receives,
    both_at_once,
    no_start_before_head,
)


async def any_path(exchange: Exchange) -> None:
    """Tell the scope, whatever the path is."""
    await exchange.json(plain(exchange.scope))


class Counting:
    """Notes every call before it goes on."""

    def __init__(self) -> None:
        self.app = application(ROUTES)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            calls.append(scope["path"])
            if scope["path"] not in ROUTES:
                await any_path(Exchange(scope, receive, send))
                return
        await self.app(scope, receive, send)


app = Counting()

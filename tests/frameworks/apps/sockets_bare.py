"""The WebSockets of test_sockets.py, without a framework."""

from typing import Any

last: dict[str, Any] = {"code": None, "reason": None}


async def echo(receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send(event | {"type": "websocket.send"})
    last.update(code=event["code"], reason=event["reason"])


async def tell(send: Any) -> None:
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": f"{last['code']} {last['reason']}"})
    await send({"type": "websocket.close"})


async def choose(scope: Any, send: Any) -> None:
    chosen = "second" if "second" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"x-chosen", b"yes")]})
    await send({"type": "websocket.close", "code": 4001, "reason": "au revoir"})


async def refuse(send: Any) -> None:
    start = {"status": 451, "headers": [(b"x-why", b"law")]}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b" way"})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        raise NotImplementedError
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/echo":
        await echo(receive, send)
    elif scope["path"] == "/last":
        await tell(send)
    elif scope["path"] == "/choose":
        await choose(scope, send)
    elif scope["path"] == "/refuse":
        await refuse(send)
    else:
        await send({"type": "websocket.close"})

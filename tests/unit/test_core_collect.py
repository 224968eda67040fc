"""The collector sees every reference that the core's objects hold: a cycle through any of them can be collected."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Callable
from typing import Any

import pytest
from core_bench import POST, Bench, Library, Trap, answer, make_server

from tricorn import _core


def check(owner: object, *held: object) -> None:
    """``owner`` shows what it holds, and a search that ends at the first finding finds it from each."""
    shown = gc.get_referents(owner)
    for one in held:
        assert any(other is one for other in shown), one
    for one in shown:
        assert any(found is owner for found in gc.get_referrers(one)), one


def test_the_module() -> None:
    """Its types, the exception and the awaitable that is always done."""
    check(_core, _core.Server, _core.Runner, _core.LoopBridge, _core.LoopFuture, _core.ClientDisconnected)


def test_a_server() -> None:
    """What it was made of, and what it is attached to."""
    library, scope, asgi, state = Library(), {"type": "http"}, {"version": "3.0"}, {"a": 1}
    log = print
    server = make_server(answer, library, scope=scope, asgi=asgi, access_log=log)
    check(server, answer, scope, asgi, log)
    given = {
        name: (lambda: None)
        for name in ("spawn", "wait", "park", "checkpoint", "ending", "stray", "canceller")
    }
    server.attach(**given, refuse=repr, state=state)
    check(server, *given.values(), repr, state, answer)


@pytest.mark.parametrize("state", ["new", "leading", "suspended", "receiving", "handing over"])
def test_a_runner_and_what_it_steps(bench: Callable[..., Bench], state: str) -> None:
    """In every state; the awaitable and the exchange of an application that waits, too."""
    awaited: list[Any] = []
    calls: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.extend([receive, send])
        awaited.append(receive())
        check(awaited[0])
        await (awaited[0] if state == "receiving" else Trap("app"))

    class Slow(Library):
        """Starts a task by awaiting something."""

        def spawn(self) -> Any:  # type: ignore[override]
            """Take a step of its own."""
            super().spawn()
            return Trap("spawn") if state == "handing over" else None

    at = bench(app, library=Slow())
    runner = at.server.runner()
    check(runner, at.server)
    if state == "new":
        return
    assert runner.send(None) == "wait"
    check(runner, at.server)
    if state == "leading":
        return
    at.client.sendall(POST)
    assert runner.send(None) == {"receiving": "park", "handing over": "spawn"}.get(state, "app")
    check(runner, at.server)
    check(awaited[0], at.server)
    check(calls[0].__self__, at.server)


def test_a_bridge_and_its_futures() -> None:
    """The loop and the leader; the callback, its context and the message of a cancellation."""

    class Loop:
        """Calls nothing."""

        def call_soon(self, *_: object, **__: object) -> None:
            """Forget the call."""

    loop, context, message = Loop(), contextvars.copy_context(), ["why"]
    bridge = _core.LoopBridge(loop, asyncio.CancelledError)
    check(bridge, loop, asyncio.CancelledError)
    leader, future = bridge.wait(), bridge.park()
    check(bridge, leader)
    check(future, bridge)
    future.add_done_callback(check, context=context)
    check(future, check, context)
    future.cancel(message)
    check(future, message)


def test_a_cycle_through_a_future_is_collected() -> None:
    """A task's callback mostly holds the task, which holds the future."""
    gone: list[str] = []

    class Loop:
        """Tells when it has gone."""

        bridge: Any
        leader: Any

        def call_soon(self, *_: object, **__: object) -> None:
            """Forget the call."""

        def __del__(self) -> None:
            gone.append("loop")

    loop = Loop()
    loop.bridge = _core.LoopBridge(loop, asyncio.CancelledError)
    loop.leader = loop.bridge.wait()
    loop.leader.add_done_callback(loop.call_soon, context=contextvars.copy_context())
    del loop
    gc.collect()
    assert gone == ["loop"]

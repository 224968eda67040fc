"""The binding stepped by hand, as an async library would step it, with libraries that fail at each place."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from core_bench import HEAD, POST, REQUEST, Bench, Library, Trap, answer, echo, listen, make_server, suspend

from tricorn import _core, protocols


def test_an_answer_without_suspending_starts_no_task(bench: Callable[..., Bench]) -> None:
    """Leading, stepping and waiting are one task's."""
    at = bench(answer)
    runner = at.leader()
    at.client.sendall(REQUEST)
    assert runner.send(None) == "wait"
    assert at.status() == 200
    assert at.library.spawned == 0


def test_a_suspended_application_hands_leadership_over_first(bench: Callable[..., Bench]) -> None:
    """The next leader is started before the trap reaches the library, and this task ends with its exchange."""
    at = bench(suspend)
    runner = at.leader()
    at.client.sendall(REQUEST)
    assert runner.send(None) == "app"
    assert at.library.spawned == 1
    with pytest.raises(StopIteration):
        runner.send(None)
    assert at.status() == 200
    assert at.library.spawned == 1


def test_a_second_leader_ends_at_once(bench: Callable[..., Bench]) -> None:
    """Even when a library starts one task too many, one leads."""
    at = bench(answer)
    runner = at.leader()
    with pytest.raises(StopIteration):
        at.server.runner().send(None)
    at.client.sendall(REQUEST)
    assert runner.send(None) == "wait"
    assert at.status() == 200


def test_a_leader_that_is_cancelled_starts_another(bench: Callable[..., Bench]) -> None:
    """A cancellation that is not the server's end ends the task alone."""
    at = bench(answer)
    runner = at.leader()
    with pytest.raises(StopIteration):
        runner.throw(asyncio.CancelledError())
    assert at.library.spawned == 1
    at.client.sendall(REQUEST)
    at.leader()
    assert at.status() == 200


def test_a_leader_that_is_cancelled_at_the_end_ends(bench: Callable[..., Bench]) -> None:
    """Nothing is started, and the cancellation goes on."""
    at = bench(answer)
    runner = at.leader()
    at.library.is_ending = True
    with pytest.raises(asyncio.CancelledError):
        runner.throw(asyncio.CancelledError())
    assert at.library.spawned == 0


def test_a_leader_whose_library_fails_says_so(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that is no cancellation is told, and another task tries."""
    told: list[BaseException | None] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_value))
    at = bench(answer)
    runner = at.leader()
    with pytest.raises(StopIteration):
        runner.throw(OSError("the descriptor is gone"))
    assert [str(error) for error in told] == ["the descriptor is gone"]
    assert at.library.spawned == 1


def test_a_leader_that_cannot_be_replaced_fails(bench: Callable[..., Bench]) -> None:
    """Where no task can be started, the error reaches the library."""
    at = bench(answer)
    runner = at.leader()
    at.library.failing["spawn"] = RuntimeError("no more tasks")
    with pytest.raises(RuntimeError, match="no more tasks"):
        runner.throw(asyncio.CancelledError())


def test_an_application_goes_on_where_no_leader_can_be_started(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own answer is given, and then a leader is tried again."""
    told: list[BaseException | None] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_value))
    at = bench(suspend)
    runner = at.leader()
    at.library.failing["spawn"] = RuntimeError("no more tasks")
    at.client.sendall(REQUEST)
    assert runner.send(None) == "app"
    at.library.failing.clear()
    with pytest.raises(StopIteration):
        runner.send(None)
    assert at.status() == 200
    assert at.library.spawned == 1
    assert [str(error) for error in told] == ["no more tasks"]


@pytest.mark.filterwarnings("ignore:Exception ignored")
@pytest.mark.parametrize("call", ["stray", "wait"])
def test_a_library_that_fails_at_the_start_is_heard(bench: Callable[..., Bench], call: str) -> None:
    """The first leader's error is not swallowed where nobody can replace it."""
    at = bench(answer)
    at.library.failing[call] = RuntimeError(call)
    at.library.failing["spawn"] = RuntimeError("spawn")
    with pytest.raises(RuntimeError):
        at.server.runner().send(None)


@pytest.mark.parametrize("state", ["new", "leading", "suspended", "receiving"])
def test_a_runner_can_be_dropped_in_every_state(bench: Callable[..., Bench], state: str) -> None:
    """A task that is collected leaves neither its application's objects nor its place as the leader behind."""

    class Held:
        """Something that an application holds."""

    held: list[weakref.ref[Held]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        mine = Held()
        held.append(weakref.ref(mine))
        await (Trap("app") if state == "suspended" else receive())

    at = bench(app)
    runner = at.server.runner()
    if state != "new":
        assert runner.send(None) == "wait"
    if state in {"suspended", "receiving"}:
        at.client.sendall(POST)
        assert runner.send(None) == {"suspended": "app", "receiving": "park"}[state]
    del runner
    gc.collect()
    assert [ref() for ref in held] == [None] * len(held)
    assert at.server.counters()["active"] == 0
    assert at.server.runner().send(None) == "wait"


class Written:
    """Reads any bytes as the head of an upload, and writes answers."""

    def __init__(self) -> None:
        self.events: list[Any] = [protocols.Head(b"POST", b"/", [(b"host", b"a"), (b"content-length", b"1")])]

    def recv(self, data: bytes) -> None: ...

    def next_event(self) -> Any:
        """Give the head, once."""
        return self.events.pop() if self.events else None

    def submit_head(self, head: Any) -> None: ...

    def submit_body(self, data: bytes, end: bool) -> None: ...

    def send(self) -> bytes:
        """Write anything."""
        return b"x"


@pytest.mark.parametrize(
    "parser",
    [None, protocols.Binding(Written, print, answer=protocols.Answer)],  # type: ignore[arg-type]
    ids=["C", "Python"],
)
def test_a_server_in_a_cycle_with_its_application_is_collected(parser: Any) -> None:
    """The callables of a backend mostly hold the server that holds them."""

    class App:
        """An application that knows its server."""

        server: _core.Server
        runner: _core.Runner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            """Wait for ever."""
            await receive()

    app, library = App(), Library()
    app.server = make_server(app, library, parser=parser)
    library.attach(app.server)
    address = listen(app.server)
    assert address is not None
    with socket.create_connection(address) as client:
        runner = app.server.runner()
        runner.send(None)
        client.sendall(POST)
        assert runner.send(None) == "park"
        app.runner = runner
    gone = weakref.ref(app)
    del app, library, runner
    gc.collect()
    assert gone() is None


def test_a_park_that_fails_is_the_applications_to_see(bench: Callable[..., Bench]) -> None:
    """The awaitable is used up, the event is not."""
    seen: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiting = receive()
        for _ in range(2):
            try:
                await waiting
            except (MemoryError, RuntimeError) as error:
                seen.append(error)
        at.library.failing.clear()
        await echo(scope, receive, send)

    at = bench(app)
    runner = at.leader()
    at.library.failing["park"] = MemoryError()
    at.client.sendall(POST)
    assert runner.send(None) == "park"
    assert [type(error) for error in seen] == [MemoryError, RuntimeError]
    at.client.sendall(b"abc")
    assert at.leader() is not None
    assert at.library.parkings[-1].woken == 1
    with pytest.raises(StopIteration):
        runner.send(None)
    assert at.status() == 200


def test_one_awaitable_is_awaited_once(bench: Callable[..., Bench]) -> None:
    """A second task at the same place is refused and does the first no harm."""
    places: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        places.append(receive())
        message = await places[0]
        await send(HEAD)
        await send({"type": "http.response.body", "body": message["body"]})

    at = bench(app)
    runner = at.leader()
    at.client.sendall(POST)
    assert runner.send(None) == "park"
    with pytest.raises(RuntimeError, match="being awaited"):
        places[0].__await__()
    at.client.sendall(b"abc")
    at.leader()
    with pytest.raises(StopIteration):
        runner.send(None)
    assert at.status() == 200
    with pytest.raises(RuntimeError, match="awaited already"):
        places[0].__await__()


def test_a_runner_is_not_stepped_from_inside(bench: Callable[..., Bench]) -> None:
    """An application that got hold of its own task's runner cannot pull the ground from under itself."""
    refused: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for call in (runner.close, lambda: runner.send(None), lambda: runner.throw(ValueError())):
            with pytest.raises(RuntimeError) as error:
                call()
            refused.append(str(error.value))
        await answer(scope, receive, send)

    at = bench(app)
    runner = at.leader()
    at.client.sendall(REQUEST)
    assert runner.send(None) == "wait"
    assert len(refused) == 3
    assert at.status() == 200


def test_log_callbacks_that_raise_do_no_harm(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange, the refusal and the server go on; the failure is told as one that nobody can catch."""
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_type))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, send)
        raise ValueError("on purpose")

    def fail(*_: object) -> None:
        raise LookupError("the log is broken")

    at = bench(app, access_log=fail, on_refusal=fail)
    at.library.failing["on_error"] = LookupError("the log is broken")
    runner = at.leader()
    at.client.sendall(REQUEST)
    assert runner.send(None) == "wait"
    assert at.status() == 200
    at.client.sendall(b"\0\r\n\r\n")
    assert runner.send(None) == "wait"
    assert at.status() == 400
    assert told == [LookupError] * 3


def test_what_wants_a_backend_says_so() -> None:
    """Before attach() there is nothing to wait with."""
    server = make_server(answer, Library())
    with pytest.raises(RuntimeError, match="attach"):
        server.notice()
    with pytest.raises(RuntimeError, match="attach"):
        server.runner()


def test_a_bridge_wakes_its_leader_and_forgets_a_cancelled_one() -> None:
    """The reader callback steps the waiting task at once; nobody waiting is no error."""

    async def main() -> None:
        bridge = _core.LoopBridge(asyncio.get_running_loop(), asyncio.CancelledError)
        bridge.ready()
        steps: list[str] = []

        async def wait() -> None:
            try:
                await bridge.wait()
                steps.append("woken")
            except asyncio.CancelledError:
                steps.append("cancelled")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel("why")
        await asyncio.wait([task])
        bridge.ready()
        asyncio.create_task(wait())  # noqa: RUF006
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(bridge.ready)
        await asyncio.sleep(0.01)
        assert steps == ["cancelled", "woken"]

    asyncio.run(main())


def test_a_future_of_the_bridge_keeps_its_contract() -> None:
    """A wake-up before the wait, one after a cancellation, and a result that is not there."""

    async def main() -> None:
        bridge = _core.LoopBridge(asyncio.get_running_loop(), asyncio.CancelledError)
        early = bridge.park()
        early.wake()
        early.wake()
        await early.wait()
        assert early.done()
        assert not early.cancel()
        late = bridge.park()
        with pytest.raises(RuntimeError):
            late.result()
        assert late.cancel("why")
        late.wake()
        assert late.cancelled()
        with pytest.raises(asyncio.CancelledError, match="why"):
            await late.wait()
        one = bridge.park()
        one.add_done_callback(print)
        with pytest.raises(RuntimeError):
            one.add_done_callback(print)
        assert one.remove_done_callback(print) == 1
        assert one.remove_done_callback(print) == 0

    asyncio.run(main())


class Turns:
    """What a bridge needs of an asyncio loop: it keeps what is to be called in its next turn."""

    def __init__(self) -> None:
        self.due: list[Any] = []

    def call_soon(self, callback: Any, *arguments: Any, context: Any = None) -> object:
        """Keep the call."""
        self.due.append((callback, arguments))
        return self


def test_the_reader_callback_steps_those_that_the_leader_wakes() -> None:
    """Up to a number; the rest, and those behind one that ends the loop, go on in the loop's next turn."""
    loop, stepped = Turns(), list[int]()
    bridge = _core.LoopBridge(loop, LookupError)

    def wake(count: int, failing: int) -> None:
        waiting = [bridge.park() for _ in range(count)]
        for number, future in enumerate(waiting):

            def step(_: Any, number: int = number) -> None:
                stepped.append(number)
                if number == failing:
                    raise KeyboardInterrupt

            future.add_done_callback(step)
        leader = bridge.wait()
        leader.add_done_callback(lambda _: [future.wake() for future in waiting])

    wake(300, -1)
    bridge.ready()
    assert stepped == list(range(len(stepped))) and len(stepped) + len(loop.due) == 300 and loop.due
    stepped.clear()
    loop.due.clear()
    wake(3, 0)
    with pytest.raises(KeyboardInterrupt):
        bridge.ready()
    assert stepped == [0] and len(loop.due) == 2

"""What the binding's own types say to calls that are wrong, odd, or answered with an error by somebody else."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from core_bench import HEAD, POST, REQUEST, Bench, Library, Trap, answer, listen, make_server, suspend

from tricorn import _core


class Loop:
    """What a bridge needs of a loop; it fails when told to."""

    def __init__(self) -> None:
        self.due: list[Any] = []
        self.failing = False

    def call_soon(self, callback: Any, argument: Any, *, context: Any = None) -> None:
        """Keep the call."""
        if self.failing:
            raise RuntimeError("the loop is closed")
        self.due.append((callback, argument, context))


@pytest.fixture
def loop() -> Loop:
    """A loop that runs nothing."""
    return Loop()


@pytest.fixture
def bridge(loop: Loop) -> _core.LoopBridge:
    """A bridge of that loop."""
    return _core.LoopBridge(loop, asyncio.CancelledError)


class Incomparable:
    """Hashes like a str, and raises when it is compared."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        raise LookupError("compared")


# --- the server


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"nonsense": 1}, ValueError),
        ({1: 1}, TypeError),
        ({"fields": "many"}, TypeError),
        ({"fields": -1}, OverflowError),
        ({"fields": 1 << 32}, ValueError),
        ({"body": 1 << 64}, OverflowError),
    ],
)
def test_limits_are_known_numbers(limits: dict[Any, Any], error: type[Exception]) -> None:
    """A name that is not there and a number that does not fit are told."""
    with pytest.raises(error):
        make_server(answer, Library(), limits=limits)


def test_a_server_wants_all_its_settings() -> None:
    """So does attach()."""
    with pytest.raises(TypeError):
        _core.Server(answer)  # type: ignore[call-arg]
    server = make_server(answer, Library())
    with pytest.raises(TypeError):
        server.attach()  # type: ignore[call-arg]


def test_listening_refuses_what_cannot_be(tmp_path: Any) -> None:
    """Ports out of range, hosts without an address, paths that are not there, descriptors that do not listen."""
    server = make_server(answer, Library())
    for port in (-1, 65536):
        with pytest.raises(ValueError, match="not between 0 and 65535"):
            _core.listen_tcp("127.0.0.1", port, 16)
    with pytest.raises(ValueError, match="no address"):
        _core.listen_tcp("host.invalid.", 0, 16)
    with pytest.raises(OSError, match="assign requested address"):
        _core.listen_tcp("192.0.2.1", 0, 16)
    with pytest.raises(OSError, match="No such file"):
        _core.listen_unix(str(tmp_path / "missing" / "socket"), 0o600, 16)
    with pytest.raises(OSError, match="Bad file descriptor"):
        server.listen(-1, 16)
    for call in (_core.listen_tcp, _core.listen_unix, server.listen):
        with pytest.raises(TypeError):
            call()  # type: ignore[call-arg]


def test_each_port_is_the_scopes_server(bench: Callable[..., Bench]) -> None:
    """The address that connections mostly come to is kept, and changed with the port; so is that of the client."""
    seen: list[tuple[Any, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["server"], scope["client"]))
        await answer(scope, receive, send)

    at = bench(app)
    others = [listen(at.server), listen(at.server, "::1")]
    runner = at.leader()
    for address in (*others, others[0]):
        assert address is not None
        with socket.create_connection(address) as client:
            client.sendall(REQUEST)
            while (
                not client.recv(1000, socket.MSG_DONTWAIT)
                if seen and seen[-1][1] == client.getsockname()[:2]
                else True
            ):
                runner.send(None)
            assert seen[-1] == (client.getpeername()[:2], client.getsockname()[:2])


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/%41%5a%2f%C3%A9%c3%a9", "/AZ/éé"),
        (b"/%zz%4%/%0g%g0%%41", "/%zz%4%/%0g%g0%A"),
        (b"/%fg%Fg%:0%/0%@0%`0%G0", "/%fg%Fg%:0%/0%@0%`0%G0"),
        (b"/%ff", "/\ufffd"),
        (b"/" + b"%41" * 400, "/" + "A" * 400),
        (b"http://other.example", "/"),
        (b"*", "*"),
    ],
)
@pytest.mark.parametrize("root", ["", "/root"])
def test_paths_are_decoded_once(bench: Callable[..., Bench], target: bytes, path: str, root: str) -> None:
    """Two hexadecimal digits after a percent sign are a byte; anything else stands for itself."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await answer(scope, receive, send)

    at = bench(app, root_path=root)
    runner = at.leader()
    method = b"OPTIONS " if target == b"*" else b"GET "
    at.client.sendall(method + target + b" HTTP/1.1\r\nHost: test.example\r\n\r\n")
    runner.send(None)
    assert at.status() == 200
    assert seen == [path if target == b"*" else root + path]


def test_a_library_that_does_not_know_whether_it_ends_does_not(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure is told, and somebody leads."""
    told: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_type))
    at = bench(answer)
    runner = at.leader()
    at.library.failing["ending"] = LookupError("unknown")
    with pytest.raises(StopIteration):
        runner.throw(asyncio.CancelledError())
    assert at.library.spawned == 1
    assert told == [LookupError]


# --- messages


@pytest.mark.parametrize(
    ("started", "message"),
    [
        (False, {Incomparable("type"): 1}),
        (False, {"type": "http.response.start", Incomparable("status"): 200}),
        (False, {"type": "http.response.start", "status": 200, Incomparable("headers"): []}),
        (True, {"type": "http.response.body", Incomparable("body"): b""}),
        (True, {"type": "http.response.body", Incomparable("more_body"): True}),
    ],
)
def test_keys_that_cannot_be_compared_are_the_senders_to_see(
    bench: Callable[..., Bench], started: bool, message: Any
) -> None:
    """The error comes from send(), and the exchange goes on."""
    errors: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send(HEAD)
        try:
            await send(message)
        except LookupError as error:
            errors.append(error)
        if not started:
            await send(HEAD)
        await send({"type": "http.response.body", "body": b"ok"})

    at = bench(app)
    runner = at.leader()
    at.client.sendall(REQUEST)
    runner.send(None)
    assert at.status() == 200
    assert [str(error) for error in errors] == ["compared"]


class Text(str):
    """A str that is not the interned one."""


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([{**HEAD, "status": 10**30}], OverflowError),
        ([{**HEAD, "status": -1}], ValueError),
        ([{**HEAD, "headers": [(b"a", b"b"), 3, (b"c", b"d")]}], TypeError),
        ([{**HEAD, "headers": 3}], TypeError),
        ([{**HEAD, "headers": [(b"a", b"b\n")] * 40}], ValueError),
        ([{"type": "http.response.body"}], RuntimeError),
        ([HEAD, HEAD], RuntimeError),
        ([HEAD, {"type": Text("http.response.body"), "body": "text"}], TypeError),
        ([HEAD, {"type": "http.response.body", "body": memoryview(b"abcd")[::2]}], BufferError),
        ([{"type": Text("http.response.start"), "status": None}], TypeError),
        ([{"type": Text("http.response.trailers")}], ValueError),
        ([{"type": b"http.response.start"}], TypeError),
        ([HEAD, {"type": "http.response.body"}, {"type": b"x"}], TypeError),
        ([HEAD, {"type": "http.response.body"}, {"type": Text("x")}], ValueError),
        ([3], TypeError),
        ([{}], KeyError),
    ],
)
def test_wrong_messages_raise(
    bench: Callable[..., Bench], messages: list[Any], error: type[Exception]
) -> None:
    """The last one is the wrong one."""
    seen: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages[:-1]:
            await send(message)
        try:
            await send(messages[-1])
        except Exception as raised:
            seen.append(raised)

    at = bench(app)
    runner = at.leader()
    at.client.sendall(REQUEST)
    runner.send(None)
    assert [type(one) for one in seen] == [error]


@pytest.mark.parametrize(
    "more", [{"type": Text("http.response.trailers")}, HEAD, {"type": "http.response.body"}]
)
def test_messages_after_the_end_are_ignored(bench: Callable[..., Bench], more: Any) -> None:
    """A second end, a second start, and trailers that nobody awaits."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, send)
        await send(more)

    at = bench(app)
    runner = at.leader()
    at.client.sendall(REQUEST)
    runner.send(None)
    assert at.status() == 200
    assert at.library.errors == []


# --- throw(), close() and the like


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), TypeError),
        ((ValueError, None, None, None), TypeError),
        ((1,), TypeError),
        ((int,), TypeError),
        ((ValueError,), ValueError),
        ((ValueError, None), ValueError),
        ((ValueError, "why", None), ValueError),
        ((ValueError, LookupError("why")), LookupError),
        ((LookupError("why"),), LookupError),
    ],
)
def test_throw_takes_what_a_generator_takes(
    bench: Callable[..., Bench], bridge: _core.LoopBridge, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    """An exception, or a class and what it is made of; on all that can be awaited."""
    seen: list[type[BaseException]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            receive().throw(*arguments)
        except Exception as raised:
            seen.append(type(raised))
        await answer(scope, receive, send)

    at = bench(app)
    runner = at.leader()
    at.client.sendall(REQUEST)
    runner.send(None)
    assert seen == [error]
    at.library.is_ending = True
    for place in (bridge.park(), at.server.runner()):
        with pytest.raises(error):
            place.throw(*arguments)


def test_an_application_that_is_thrown_at_before_it_waits(bench: Callable[..., Bench]) -> None:
    """An awaitable that was thrown at, or closed, is used up."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        thrown, closed = receive(), receive()
        with pytest.raises(ValueError, match="why"):
            thrown.throw(ValueError("why"))
        closed.close()
        for used in (thrown, closed):
            for call in (used.__await__, lambda used=used: used.send(None), lambda used=used: next(used)):
                with pytest.raises(RuntimeError, match="awaited already") as error:
                    call()
                seen.append(str(error.value))
        await answer(scope, receive, send)

    at = bench(app)
    runner = at.leader()
    at.client.sendall(REQUEST)
    runner.send(None)
    assert at.status() == 200
    assert len(seen) == 6


def test_a_closed_awaitable_leaves_the_line(bench: Callable[..., Bench]) -> None:
    """Nobody is woken for it, and another can wait in its place."""
    places: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        places.extend([receive(), receive()])
        assert next(places[1]) == "park"
        places[1].close()
        message = await places[0]
        await send(HEAD)
        await send({"type": "http.response.body", "body": message["body"]})

    at = bench(app)
    runner = at.leader()
    at.client.sendall(POST)
    assert runner.send(None) == "park"
    at.client.sendall(b"abc")
    at.leader()
    with pytest.raises(StopIteration):
        next(runner)
    assert at.status() == 200
    assert [parking.woken for parking in at.library.parkings] == [0, 1]


class Steps:
    """An awaitable and its own iterator, without throw() and close()."""

    def __init__(self, *traps: str) -> None:
        self.traps = iter(traps)

    def __await__(self) -> Iterator[str]:
        return self.traps


class BadThrow:
    """An iterator whose throw() cannot be looked up."""

    def __await__(self) -> BadThrow:
        return self

    def __iter__(self) -> BadThrow:
        return self

    def __next__(self) -> str:
        return "app"

    @property
    def throw(self) -> Any:
        """Fail."""
        raise RuntimeError("no throw today")

    @property
    def close(self) -> Any:
        """Fail."""
        raise RuntimeError("no close today")


class ClosingBadly(BadThrow):
    """One whose close() fails."""

    def close(self) -> None:  # type: ignore[override]
        """Fail."""
        raise RuntimeError("no close today")


@pytest.mark.parametrize("thrown", [ValueError("why"), GeneratorExit()])
@pytest.mark.parametrize("made", [lambda: Steps("app", "app"), BadThrow])
def test_an_application_that_takes_no_exception(
    bench: Callable[..., Bench], made: Callable[[], Any], thrown: BaseException
) -> None:
    """It ends with it, or with its own."""
    at = bench(lambda scope, receive, send: made())
    runner = at.leader()
    at.client.sendall(REQUEST)
    assert runner.send(None) == "app"
    with pytest.raises((StopIteration, type(thrown), RuntimeError)):
        runner.throw(thrown)
    assert at.status() == 500
    assert len(at.library.errors) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("made", [lambda: Steps("app", "app"), BadThrow, ClosingBadly, lambda: Trap("app")])
def test_an_application_is_closed_with_its_task(bench: Callable[..., Bench], made: Callable[[], Any]) -> None:
    """However it takes it."""

    async def wrapped() -> None:
        await made()

    for start in (made, wrapped):
        at = bench(lambda scope, receive, send, start=start: start())
        runner = at.leader()
        at.client.sendall(REQUEST)
        assert runner.send(None) == "app"
        runner.close()
        assert at.server.counters()["active"] == 0


def test_a_runner_shows_where_it_is(bench: Callable[..., Bench]) -> None:
    """The frame and what it awaits, of the application's coroutine or of the library's."""

    async def wait() -> None:
        await Trap("wait")

    class Coroutines(Library):
        """Waits in coroutines."""

        def attach(self, server: _core.Server) -> None:
            """Give the calls to a server."""
            super().attach(server)
            given = {name: lambda: None for name in ("spawn", "checkpoint", "ending", "stray")}
            server.attach(**given, wait=wait, park=self.park, refuse=None, canceller=None, state=None)

    at = bench(suspend, library=Coroutines())
    runner = at.server.runner()
    assert (runner.cr_frame, runner.cr_await, runner.cr_running, runner.cr_suspended) == (
        None,
        None,
        False,
        False,
    )
    assert next(runner) == "wait"
    assert runner.cr_frame is not None and runner.cr_frame.f_code is wait.__code__
    assert runner.cr_suspended
    at.client.sendall(REQUEST)
    assert next(runner) == "app"
    assert runner.cr_frame is not None and runner.cr_frame.f_code is suspend.__code__
    assert isinstance(runner.cr_await, Generator)
    runner.close()
    assert not runner.cr_suspended
    at = bench(lambda scope, receive, send: BadThrow())
    runner = at.leader()
    at.client.sendall(REQUEST)
    assert next(runner) == "app"
    assert (runner.cr_frame, runner.cr_await) == (None, None)


@pytest.mark.parametrize("ends", [True, False])
def test_a_task_that_is_cancelled_before_its_first_step(bench: Callable[..., Bench], ends: bool) -> None:
    """Another is started in its place, unless the group of tasks ends."""
    at = bench(answer)
    at.library.is_ending = ends
    with pytest.raises(asyncio.CancelledError if ends else StopIteration):
        at.server.runner().throw(asyncio.CancelledError())
    assert at.library.spawned == (0 if ends else 1)


@pytest.mark.parametrize("result", [StopIteration("x"), ValueError("wrong trap"), "nonsense", None])
def test_a_library_may_refuse_a_trap(bench: Callable[..., Bench], result: Any) -> None:
    """The application is told, and has one more chance; what is no exception is no refusal."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await Trap("app")
        except ValueError as error:
            seen.append(str(error))
            await Trap("once more")

    def refuse(trap: object) -> Any:
        if isinstance(result, StopIteration):
            raise ValueError("it raised")
        return result

    library = Library()
    library.refuse = refuse
    at = bench(app, library=library)
    runner = at.leader()
    at.client.sendall(REQUEST)
    stepped = runner.send(None)
    if isinstance(result, Exception):
        assert stepped == "wait"
        assert at.status() == 500
        assert len(seen) == 1
        assert [type(error) for error in at.library.errors] == [ValueError]
    else:
        assert stepped == "app"


def test_a_handover_that_is_interrupted_is_the_applications_to_see(bench: Callable[..., Bench]) -> None:
    """What is raised while a task is started in its behalf."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await Trap("app")
        except LookupError as error:
            seen.append(str(error))
        await answer(scope, receive, send)

    class Slow(Library):
        """Starts a task by awaiting something."""

        def spawn(self) -> Any:  # type: ignore[override]
            """Take a step of its own."""
            super().spawn()
            return Trap("spawn")

    at = bench(app, library=Slow())
    runner = at.leader()
    at.client.sendall(REQUEST)
    assert runner.send(None) == "spawn"
    step = runner.throw(LookupError("interrupted"))
    assert at.status() == 200
    assert seen == ["interrupted"]
    assert step == "spawn"
    with pytest.raises(StopIteration):
        runner.send(None)


# --- the bridge of asyncio


def test_a_bridge_wants_a_loop_and_an_exception(loop: Loop) -> None:
    """Nothing else will do."""
    with pytest.raises(TypeError):
        _core.LoopBridge(loop)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="exception class"):
        _core.LoopBridge(loop, int)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="call_soon"):
        _core.LoopBridge(object(), asyncio.CancelledError)


def test_a_loop_that_is_closed_is_heard_of(loop: Loop, bridge: _core.LoopBridge) -> None:
    """From whatever would have called it."""
    loop.failing = True
    for call in ("wake", "cancel"):
        future = bridge.park()
        future.add_done_callback(print)
        with pytest.raises(RuntimeError, match="closed"):
            getattr(future, call)()
        with pytest.raises(RuntimeError, match="closed"):
            future.add_done_callback(print)


def test_a_future_wants_its_arguments(bridge: _core.LoopBridge) -> None:
    """And takes no others."""
    future = bridge.park()
    with pytest.raises(TypeError):
        future.cancel(1, 2)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        future.add_done_callback()  # type: ignore[call-arg]


def test_a_callback_without_a_context_is_called_without(loop: Loop, bridge: _core.LoopBridge) -> None:
    """None stands for none; a context that is given is passed on."""
    context = contextvars.copy_context()
    for given in (None, context):
        future = bridge.park()
        future.add_done_callback(print, context=given)
        future.wake()
        assert loop.due.pop() == (print, future, given)


def test_a_callback_can_be_taken_back(bridge: _core.LoopBridge) -> None:
    """By equality, whose failure is told."""
    future = bridge.park()
    future.add_done_callback(Incomparable("x"), context=contextvars.copy_context())  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="compared"):
        future.remove_done_callback(print)
    future = bridge.park()
    future.add_done_callback(print, context=contextvars.copy_context())
    assert future.remove_done_callback(repr) == 0
    assert future.remove_done_callback(print) == 1
    future.wake()


def test_a_future_says_whether_it_blocks(bridge: _core.LoopBridge) -> None:
    """asyncio's tasks set and read the mark."""

    class Neither:
        """Has no truth value."""

        def __bool__(self) -> bool:
            raise LookupError("neither")

    future: Any = bridge.park()
    assert not future._asyncio_future_blocking
    assert next(future) is future
    assert future._asyncio_future_blocking
    future._asyncio_future_blocking = False
    with pytest.raises(LookupError, match="neither"):
        future._asyncio_future_blocking = Neither()
    future._asyncio_future_blocking = True
    del future._asyncio_future_blocking
    assert not future._asyncio_future_blocking
    with pytest.raises(RuntimeError, match="not set"):
        next(future)


def test_a_leader_is_stepped_in_its_context(bridge: _core.LoopBridge) -> None:
    """Its failure reaches the loop; one that was cancelled is not stepped; nor is one that nobody waits for."""
    variable = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    def called(future: _core.LoopFuture) -> None:
        seen.append(variable.get())
        raise ValueError("from the step")

    context = contextvars.copy_context()
    context.run(variable.set, 7)
    for given in (None, context):
        bridge.wait().add_done_callback(called, context=given)
        with pytest.raises(ValueError, match="from the step"):
            bridge.ready()
    assert seen == [0, 7]
    leader = bridge.wait()
    leader.add_done_callback(called)
    leader.cancel()
    bridge.ready()
    bridge.wait()
    bridge.ready()
    assert seen == [0, 7]

    def reenter() -> None:
        bridge.wait().add_done_callback(seen.append, context=context)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="entered"):
            bridge.ready()

    context.run(reenter)


def test_a_future_that_is_thrown_at_forgets_its_task(loop: Loop, bridge: _core.LoopBridge) -> None:
    """Whether it was woken or not."""
    for wake in (False, True):
        future = bridge.park()
        future.add_done_callback(print, context=contextvars.copy_context())
        if wake:
            future.wake()
        with pytest.raises(LookupError):
            future.throw(LookupError("why"))
        assert future.cancelled() is not wake
        assert future.remove_done_callback(print) == 0
        assert future.get_loop() is loop

"""Signals of the binding: posted by threads, waited for by the task of an exchange; stepped by hand."""

from __future__ import annotations

import gc
import select
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from core_bench import HEAD, REQUEST, Bench, Library

from tricorn import _core


def signal_of(scope: Any) -> _core.Signal:
    """Return a signal of the request that calls."""
    signal: _core.Signal = scope["extensions"]["tricorn.cancel_on_disconnect"].signal()
    return signal


class App:
    """Waits for a signal until it has been told so often; answers with what it was told."""

    def __init__(self, count: int = 1, left: bool = False) -> None:
        self.count = count
        self.left = left
        self.told: list[bool] = []
        self.signals: list[_core.Signal] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        signal = signal_of(scope)
        self.signals.append(signal)
        try:
            for _ in range(self.count):
                self.told.append(await signal.wait(self.left))
        finally:
            signal.close()
        await send(HEAD)
        await send({"type": "http.response.body", "body": b"told"})


class Steps:
    """A request that has suspended in a task of its own, and the leader that came after it."""

    def __init__(self, app: Any) -> None:
        self.at = Bench(app)
        self.task = self.at.leader()
        self.at.client.sendall(REQUEST)
        assert self.task.send(None) == "park"
        self.lead: _core.Runner = self.at.leader()

    @property
    def library(self) -> Library:
        """What the server asked for."""
        return self.at.library

    def readable(self) -> bool:
        """Whether the leader's wait would end."""
        return bool(select.select([self.at.server.fileno()], [], [], 0)[0])

    def turn(self) -> int:
        """Step the leader; returns how many were woken so far."""
        assert self.lead.send(None) == "wait"
        return sum(parking.woken for parking in self.library.parkings)

    def close(self) -> None:
        """End it."""
        for runner in (self.task, self.lead):
            runner.close()
        self.at.client.close()
        self.at.server.close()


@pytest.fixture
def begun() -> Iterator[Callable[[Any], Steps]]:
    """``begun(app)``: a request of it that waits."""
    made: list[Steps] = []

    def begin(app: Any) -> Steps:
        made.append(Steps(app))
        return made[-1]

    yield begin
    for steps in made:
        steps.close()


def finish(steps: Steps) -> None:
    """Step the task to its end, and read the answer."""
    with pytest.raises(StopIteration):
        steps.task.send(None)
    assert steps.at.status() == 200


def test_a_post_wakes_the_task(begun: Callable[[Any], Steps]) -> None:
    """By the reactor, and only then; from another thread."""
    app = App()
    steps = begun(app)
    assert not steps.readable()
    thread = threading.Thread(target=app.signals[0].post)
    thread.start()
    thread.join()
    assert steps.readable()
    assert steps.turn() == 1
    finish(steps)
    assert app.told == [True] and not steps.readable()


def test_many_posts_are_one(begun: Callable[[Any], Steps]) -> None:
    """Until they are waited for."""
    app = App(2)
    steps = begun(app)
    for _ in range(1000):
        app.signals[0].post()
    assert steps.turn() == 1
    assert steps.task.send(None) == "park"
    assert not steps.readable() and steps.turn() == 1
    app.signals[0].post()
    assert steps.turn() == 2
    finish(steps)


def test_a_post_before_the_wait_is_kept(begun: Callable[[Any], Steps]) -> None:
    """Also one that comes after the task was woken and before it goes on."""
    app = App(2)
    steps = begun(app)
    app.signals[0].post()
    assert steps.turn() == 1
    app.signals[0].post()
    assert steps.task.send(None) == "park"
    assert steps.turn() == 2, "the second post has the task look again, in vain"
    assert steps.task.send(None) == "park"
    app.signals[0].post()
    assert steps.turn() == 3
    finish(steps)


def test_a_client_that_leaves(begun: Callable[[Any], Steps]) -> None:
    """Is told where that was asked for, and once waiting does not end otherwise."""
    app = App(left=True)
    steps = begun(app)
    steps.at.client.close()
    assert steps.turn() == 1
    with pytest.raises(StopIteration):
        steps.task.send(None)
    assert app.told == [False]


def test_a_client_that_leaves_is_not_told_otherwise(begun: Callable[[Any], Steps]) -> None:
    app = App()
    steps = begun(app)
    steps.at.client.close()
    assert steps.turn() == 0
    app.signals[0].post()
    assert steps.turn() == 1
    with pytest.raises(StopIteration):
        steps.task.send(None)
    assert app.told == [True]


def test_a_cancelled_wait_loses_no_post(begun: Callable[[Any], Steps]) -> None:
    """The next wait has it."""
    told: list[bool] = []
    signals: list[_core.Signal] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        signals.append(signal_of(scope))
        with pytest.raises(LookupError):
            await signals[0].wait()
        told.append(await signals[0].wait())
        await send(HEAD)
        await send({"type": "http.response.body", "body": b""})

    steps = begun(app)
    signals[0].post()
    with pytest.raises(StopIteration):
        steps.task.throw(LookupError("cancelled"))
    assert told == [True]
    assert steps.turn() == 0, "nobody waits any more"


def test_a_closed_signal(begun: Callable[[Any], Steps]) -> None:
    """Can be posted and closed, to no effect, and not be waited for; who waited is told."""
    app = App()
    steps = begun(app)
    signal = app.signals[0]
    waiting = signal.wait()
    signal.close()
    assert steps.readable() and steps.turn() == 1
    with pytest.raises(StopIteration):
        steps.task.send(None)
    assert isinstance(steps.library.errors[0], RuntimeError)
    signal.post()
    signal.close()
    with pytest.raises(RuntimeError, match="was closed"):
        signal.wait()
    with pytest.raises(RuntimeError, match="was closed"):
        waiting.send(None)


def test_a_post_that_nobody_comes_by_for(begun: Callable[[Any], Steps]) -> None:
    """The signal is dropped while it stands in the server's list, then another is posted."""
    app = App()
    steps = begun(app)
    more = signal_made_by(steps)
    more.post()
    del more
    gc.collect()
    assert steps.turn() == 0
    app.signals[0].post()
    assert steps.turn() == 1
    finish(steps)


def signal_made_by(steps: Steps) -> _core.Signal:
    """Return another signal, of a request that has ended meanwhile."""
    made: list[_core.Signal] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        made.append(signal_of(scope))
        await send(HEAD)
        await send({"type": "http.response.body", "body": b""})

    at = Bench(other)
    leader = at.leader()
    at.client.sendall(REQUEST)
    assert leader.send(None) == "wait"
    at.client.close()
    leader.close()
    return made[0]


def test_only_the_application_itself_makes_one() -> None:
    """Not another task, nor after the request."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope["extensions"]["tricorn.cancel_on_disconnect"])
        await send(HEAD)
        await send({"type": "http.response.body", "body": b""})

    at = Bench(app)
    leader = at.leader()
    at.client.sendall(REQUEST)
    leader.send(None)
    with pytest.raises(RuntimeError, match="by the application itself"):
        found[0].signal()
    with pytest.raises(TypeError):
        _core.Signal()
    leader.close()
    at.client.close()


def test_it_is_seen_by_the_collector(begun: Callable[[Any], Steps]) -> None:
    """A cycle through a signal that was left open goes with its request."""

    class Kept:
        pass

    kept: list[weakref.ref[Kept]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        one = Kept()
        kept.append(weakref.ref(one))
        one.signal = signal_of(scope)  # type: ignore[attr-defined]
        one.itself = one  # type: ignore[attr-defined]
        await one.signal.wait()  # type: ignore[attr-defined]

    steps = begun(app)
    steps.close()
    gc.collect()
    assert kept[0]() is None


def test_many_threads(begun: Callable[[Any], Steps]) -> None:
    """Whoever posts last is heard: the count that the task sees after its wait is never an old one for good."""
    count, rounds = 8, 2000
    done = [0] * count

    signals: list[_core.Signal] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        signals.append(signal_of(scope))
        while sum(done) < count * rounds:
            await signals[0].wait()
        await send(HEAD)
        await send({"type": "http.response.body", "body": b"all"})

    def post(number: int) -> None:
        for _ in range(rounds):
            done[number] += 1
            signals[0].post()

    steps = begun(app)
    threads = [threading.Thread(target=post, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    woken = 0
    while True:
        assert select.select([steps.at.server.fileno()], [], [], 10)[0], "a wake-up was lost"
        now = steps.turn()
        if now == woken:
            continue
        woken = now
        try:
            assert steps.task.send(None) == "park"
        except StopIteration:
            break
    for thread in threads:
        thread.join()
    assert steps.at.status() == 200 and sum(done) == count * rounds

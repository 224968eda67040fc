"""Leaders and followers: what ARCHITECTURE.md promises of tasks, contexts and turns (I1 to I9), on every library."""

from __future__ import annotations

import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from harness import Serve, Server, until

APP = "invariants:app"
SEED = 20


def serve(shared: Serve, library: str) -> Server:
    return shared(APP, library, "--no-access-log")


def note(server: Server, name: str) -> list[Any]:
    """Wait for the last note of this name."""

    def found() -> list[Any]:
        return [note[1:] for note in server.get("/noted")["notes"] if note[0] == name]

    until(found, f"the note {name}")
    return found()[-1]  # type: ignore[no-any-return]


def nothing_broken(server: Server) -> None:
    assert server.get("/noted")["broken"] == []
    until(lambda: server.get("/census") == [1, 0], "one leader and nothing else is left")


def burst(targets: list[str]) -> bytes:
    """Return pipelined requests."""
    return b"".join(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for target in targets)


def test_I1_I2_I3_I4_hold_under_a_mixture(shared: Serve, library: str) -> None:
    """Requests that finish at once, suspend often and fail, on many connections: each checks all it can see."""
    server = serve(shared, library)
    rng = random.Random(SEED)
    clients = [server.connect() for _ in range(24)]
    asked: list[list[str]] = []
    for client in clients:
        targets = [
            f"/mixed?times={rng.choice((0, 0, 1, 3))}&us={rng.randrange(3000)}&n={rng.random()}"
            for _ in range(40)
        ]
        targets[-1] += rng.choice(("", "&fail=1"))  # which ends the connection
        asked.append(targets)
        client.send(burst(targets))
    for client, targets in zip(clients, asked, strict=True):
        with client:
            for target in targets:
                answer = client.answer()
                failing = target.endswith("fail=1")
                assert answer.status == (500 if failing else 200)
                assert failing or answer.body.decode() == target.partition("?")[2]
    nothing_broken(server)


def test_I1_one_leader_beside_suspended_requests(shared: Serve, library: str) -> None:
    server = serve(shared, library)
    server.ask(target="/close_gate")
    clients = [server.connect() for _ in range(50)]
    for number, client in enumerate(clients, 1):
        client.request(target="/gate")
        if number % 10 == 0:
            until(lambda n=number: server.get("/census")[1] == n, "they wait")  # type: ignore[misc]
            assert server.get("/census") == [number + 1, number]
    server.ask(target="/open_gate")
    for client in clients:
        with client:
            assert client.answer().body == b"released"
    nothing_broken(server)


def test_I2_application_runs_in_one_task_of_the_library(shared: Serve, library: str) -> None:
    server = serve(shared, library)
    for _ in range(10):
        assert server.ask("POST", "/tasks", b"x").json() == [1, True, True]
    nothing_broken(server)


def test_I2_what_libraries_offer_works_from_the_first_instruction(shared: Serve, library: str) -> None:
    server = serve(shared, library)
    features = server.get("/features")
    assert len(features) >= 5
    for name in features * 2:
        assert server.get(f"/feature?name={name}") is True, name
    nothing_broken(server)


def test_I3_context_variables_are_each_exchanges_own(shared: Serve, library: str) -> None:
    """Every request sets the variable and would note one that another has left."""
    server = serve(shared, library)
    with server.connect() as client:
        client.send(burst(["/plain?a", "/mixed?times=2", "/plain?b"] * 20))
        bodies = [client.answer().body for _ in range(60)]
    assert bodies == [b"a", b"times=2", b"b"] * 20
    nothing_broken(server)


def test_I4_probe_notices_a_task_that_is_used_twice(shared: Serve, library: str) -> None:
    """The set that the check looks into fills, so the check can fail."""
    server = serve(shared, library)
    before = server.get("/census_of_retired")
    with server.connect() as client:
        for _ in range(5):
            assert client.ask(target="/mixed?times=1").status == 200
    assert server.get("/census_of_retired") == before + 5
    nothing_broken(server)


@pytest.mark.parametrize("us", [0, 2000])
def test_I6_a_batch_lets_other_tasks_run(shared: Serve, library: str, us: int) -> None:
    """All requests are there at once, and none suspends; a task that runs in every round sees a batch at a time.

    A batch is at most 256 requests or 1 ms; two of them may pass between two rounds of the other task.
    """
    server = serve(shared, library)
    server.ask(target="/start_ticking")
    each = 40 if us == 0 else 3
    clients = [server.connect() for _ in range(50)]
    with server.connect() as first:
        first.request(target="/busy?us=100000")
        for client in clients:
            client.send(burst([f"/busy?us={us}"] * each))
        for client in clients:
            with client:
                assert [client.answer().status for _ in range(each)] == [200] * each
        assert first.answer().status == 200
    ticks, most = server.get("/stop_ticking")
    assert ticks > 5
    assert most <= (2 * 256 if us == 0 else 4)


@pytest.mark.parametrize("us", [0, 2000])
def test_I6_exchanges_that_suspend_share_a_turn_of_the_loop(shared: Serve, library: str, us: int) -> None:
    """So many serving tasks are started at a handover as are of use: quick exchanges share a turn, slow ones do not."""
    server = serve(shared, library)
    clients = [server.connect() for _ in range(50)]
    server.ask(target="/start_ticking")
    for _ in range(20 if us == 0 else 2):
        with server.connect() as first:
            first.request(target="/busy?us=50000")  # the others' requests are all there when it ends
            for client in clients:
                client.request(target=f"/busy?suspended&us={us}")
            assert [client.answer().status for client in clients] == [200] * 50
            assert first.answer().status == 200
    _, most = server.get("/stop_ticking")
    assert most >= 16 if us == 0 else most <= 4
    nothing_broken(server)


KINDS = [
    "ValueError",
    "OSError",
    "TimeoutError",
    "BaseException",
    "KeyboardInterrupt",
    "SystemExit",
    "GeneratorExit",
    "no-message",
    "cancellation",
    "group",
    "base-group",
]


@pytest.mark.parametrize("when", ["", "&suspended"])
def test_I7_no_exception_of_an_application_ends_the_server(own: Serve, library: str, when: str) -> None:
    server = own(APP, library)
    for kind in KINDS:
        assert server.ask(target=f"/failing?kind={kind}{when}").status == 500, kind
        assert server.ask(target=f"/plain?{kind}").body == kind.encode()
    nothing_broken(server)
    log = server.log()
    assert log.count("Exception in ASGI application") == len(KINDS)
    assert log.count("in make_exception") == 0
    assert log.count(", in failing\n") == len(KINDS), "each traceback once"
    assert server.stop() == 0


def test_I7_no_answer_to_a_cancellation_ends_the_server_otherwise(own: Serve, library: str) -> None:
    """Every kind of exception at once, out of requests that the second signal cancels."""
    server = own(APP, library, "--lifespan", "on")
    clients = [server.connect() for _ in KINDS]
    for client, kind in zip(clients, KINDS, strict=True):
        client.request(target=f"/unruly?kind={kind}")
    until(lambda: server.get("/census")[1] == len(KINDS), "all wait")
    server.send_signal()
    until(lambda: f"Waiting for {len(KINDS)} request(s)" in server.log(), "the stop")
    assert server.stop() == 128 + signal.SIGTERM
    assert "Application shutdown complete" in server.log()
    for client in clients:
        with client:
            assert b"200 OK" not in client.rest()


@pytest.mark.parametrize("when", ["", "?suspended"])
def test_I7_a_stray_cancellation_does_not_stop_the_server(shared: Serve, library: str, when: str) -> None:
    """trio has none: there, a cancellation belongs to a scope, and the application's scopes end before it."""
    server = serve(shared, library)
    with server.connect() as client:
        for _ in range(20):
            client.send(burst([f"/self_cancelling{when}", "/cancelling", "/plain?next"]))
            assert client.answer().body == b"cancelled"
            assert client.answer().json() == 0, "the next request has a task without a cancellation"
            assert client.answer().body == b"next"
    nothing_broken(server)


def test_I8_what_need_not_wait_does_not_suspend(shared: Serve, library: str) -> None:
    server = serve(shared, library)
    assert server.ask("POST", "/immediate", b"body").body == b"x" * 1000
    (found,) = note(server, "immediate")
    assert found == [0] * len(found) and len(found) == 1012, "and receive() is never a checkpoint (I9)"


def test_I8_cancelled_receive_loses_nothing(shared: Serve, library: str) -> None:
    """Each receive() has half a millisecond; the body comes piece by piece, some sooner and some later."""
    server = serve(shared, library)
    with server.connect() as client:
        client.send(b"POST /impatient HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n")
        rng = random.Random(SEED)
        for _ in range(300):
            client.send(b"x")
            client.quiet(rng.random() / 500)
        assert client.answer().json() == [300, True]
    nothing_broken(server)


def test_I9_a_tight_loop_of_sends_has_checkpoints(shared: Serve, library: str) -> None:
    server = serve(shared, library)
    assert len(server.ask(target="/tight").body) == 2000
    most, checkpoints = note(server, "tight")
    assert 1 < most <= 64 and checkpoints >= 2000 // 64


def test_I9_a_tight_loop_of_sends_starves_nobody_and_can_be_cancelled(shared: Serve, library: str) -> None:
    server = serve(shared, library)
    with server.connect() as client:
        client.request(target="/endless?ms=300")
        head = client.until(b"\r\n\r\n")
        assert b"200 OK" in head
        answered = 0
        with server.connect() as other:
            while b"late" not in client._held and b"never" not in client._held:
                assert other.ask(target="/mixed?times=1").status == 200
                answered += 1
                client._more()
    assert b"late" in client._held
    assert answered > 5
    nothing_broken(server)


MANY = 10_000
"""Requests that wait at once; the client and the server each need a descriptor for every one."""


@pytest.fixture
def descriptors() -> Iterator[int]:
    """How many waiting requests the machine's limit of descriptors allows; the soft limit is lifted meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(MANY, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_I5_no_request_waits_for_suspended_ones(own: Serve, library: str, descriptors: int) -> None:
    """Ten thousand requests wait on as many connections; a fresh one is answered, and no wake-up is lost."""
    server = own(APP, library, "--no-access-log", "--timeout-keep-alive", "60")
    server.ask(target="/close_gate")
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(descriptors)]
        for client in clients:
            client.request(target="/gate")
        until(lambda: server.get("/census") == [descriptors + 1, descriptors], "all wait")
        begin = time.monotonic()
        for _ in range(20):
            assert server.ask(target="/plain?fresh").body == b"fresh"
        assert time.monotonic() - begin < 5, "a fresh request is slowed down"
        server.ask(target="/open_gate")
        for client in clients:
            assert client.answer().body == b"released"
        nothing_broken(server)
        for client in clients:
            assert client.ask(target="/plain?again").body == b"again"
    assert server.stop() == 0

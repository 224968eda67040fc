"""The lifespan protocol: statements L1 to L8."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from harness import Serve, until


def lines(text: str) -> list[str]:
    """Return what the application has said, without the access log."""
    return [line for line in text.splitlines() if not line.startswith("INFO:")]


def test_L1_L4_L6_order_of_start_requests_and_stop(own: Serve, library: str) -> None:
    server = own("lifespans:good", library, "--lifespan", "on", ready=False)
    server.ask(target="/early")
    server.ask(target="/late")
    assert server.stop() == 0
    assert lines(server.access()) == [
        "called",
        "lifespan.startup",
        "started",
        "request /early",
        "request /late",
        "lifespan.shutdown",
        "stopped",
        "returned",
    ]
    log = server.log()
    order = [
        "Waiting for application startup",
        "Application startup complete",
        "Tricorn running on",
        "Shutting down",
        "Waiting for application shutdown",
        "Application shutdown complete",
    ]
    places = [log.index(text) for text in order]
    assert places == sorted(places)


def test_L2_L7_H10_state_is_a_shallow_copy(shared: Serve, library: str) -> None:
    server = shared("lifespans:good", library)
    for number in range(3):
        state: Any = json.loads(server.ask(target=f"/{number}").body)
        assert state.pop("same object") is True
        assert state["number"] == 5 and "leak" not in state
        assert state["list"] == [f"/{before}" for before in range(number + 1)], "the copy is not a deep one"


@pytest.mark.parametrize("app", ["raising", "raising_in_startup", "returning"])
def test_L3_auto_goes_on_without_lifespan(own: Serve, library: str, app: str) -> None:
    server = own(f"lifespans:{app}", library)
    assert json.loads(server.ask().body) == {"no": "state"}
    assert server.stop() == 0
    assert "Traceback" not in server.log() and "ERROR" not in server.log()


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("raising", "NotImplementedError: no lifespan here"),
        ("raising_in_startup", "ValueError: broken in startup"),
        ("returning", "returned before lifespan.startup.complete"),
    ],
)
def test_L3_on_demands_the_lifespan(own: Serve, library: str, app: str, why: str) -> None:
    server = own(f"lifespans:{app}", library, "--lifespan", "on", ready=False)
    assert server.wait() == 3
    assert why in server.log() and "Application startup failed" in server.log()


def test_L3_off_never_calls_the_application(own: Serve, library: str) -> None:
    server = own("lifespans:failing", library, "--lifespan", "off")
    assert json.loads(server.ask().body) == {"no": "state"}
    assert server.stop() == 0
    assert lines(server.access()) == ["request /"]


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("failing", "the database is not there"),
        ("failing_and_raising", "the traceback of the framework"),
    ],
)
def test_L5_startup_failed_is_logged_and_ends(
    own: Serve, library: str, mode: str, app: str, message: str
) -> None:
    server = own(f"lifespans:{app}", library, "--lifespan", mode, ready=False)
    assert server.wait() == 3
    assert message in server.log() and "Application startup failed" in server.log()
    assert "Tricorn running" not in server.log() and "Traceback" not in server.log()


def test_L6_shutdown_comes_after_the_last_exchange(own: Serve, library: str) -> None:
    server = own("lifespans:good", library)
    with server.connect() as client:
        client.request(target="/slow?ms=300")
        until(lambda: server.get("/quick")["number"] == 5, "the server serves")
        server.send_signal()
        assert client.answer().status == 200
        assert client.closed()
    assert server.wait() == 0
    said = lines(server.access())
    assert said.index("request /slow") < said.index("lifespan.shutdown")


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("failing_in_shutdown", "the journal was not written"),
        ("raising_in_shutdown", "ValueError: broken in shutdown"),
        ("raising_while_serving", "ValueError: broken while serving"),
    ],
)
def test_L6_failed_shutdown_is_logged(own: Serve, library: str, app: str, why: str) -> None:
    server = own(f"lifespans:{app}", library)
    assert server.ask(target="/?ms=100").status == 200
    assert server.stop() == 1
    assert why in server.log()


def test_L6_application_may_return_after_its_start(own: Serve, library: str) -> None:
    server = own("lifespans:returning_after_startup", library)
    assert server.ask().status == 200
    assert server.stop() == 0
    assert "ERROR" not in server.log()


def test_L1_one_task_holds_a_group_and_a_scope(own: Serve, library: str) -> None:
    server = own("lifespans:held_group", library, "--lifespan", "on")
    for _ in range(20):
        assert server.ask(target="/?ms=5").status == 200
    assert server.stop() == 0
    said = lines(server.access())
    assert said[-2:] == ["the group is closed", "the scope is closed"]


def test_L4_bad_messages_raise(own: Serve, library: str) -> None:
    server = own("lifespans:bad_messages", library, "--lifespan", "on")
    assert server.stop() == 0
    assert [line.partition(":")[0] for line in lines(server.access())] == ["refused"] * 3


def test_L6_cancelled_receive_loses_no_event(own: Serve, library: str) -> None:
    server = own("lifespans:expired_shutdown", library)
    server.ask(target="/?ms=100")
    assert server.stop() == 0
    assert lines(server.access())[-1] == "lifespan.shutdown after more than one: True"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_L8_second_signal_ends_a_slow_shutdown(own: Serve, library: str, number: int) -> None:
    server = own("lifespans:slow_shutdown", library)
    server.send_signal(number)
    until(lambda: "stopping" in server.access(), "the shutdown")
    assert server.stop(number, 5) == 128 + number


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_L8_second_signal_ends_a_slow_startup(own: Serve, library: str, first: int) -> None:
    """They differ, because two of a kind may be seen as one; which one is seen last is open."""
    second = signal.SIGTERM if first == signal.SIGINT else signal.SIGINT
    server = own("lifespans:slow_startup", library, ready=False)
    until(lambda: "starting" in server.access(), "the start-up")
    server.send_signal(first)
    assert server.stop(second, 5) in {128 + first, 128 + second}

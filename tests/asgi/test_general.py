"""What the specification says of every application: statements G1 to G12."""

from __future__ import annotations

import sys

import pytest
from harness import APPS, Serve, until

sys.path.insert(0, str(APPS))
from statements import BAD_MESSAGES

APP = "statements:app"


def test_G1_scope_is_a_dict_with_type_and_versions(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    types = server.get("/types")
    assert types["asgi"] == "dict" and types["type"] == "str"
    scope = server.get("/scope")
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}


def test_G2_one_call_for_one_request(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    before = len(server.get("/seen"))
    with server.connect() as client:
        for _ in range(3):
            assert client.ask("POST", "/echo", b"abc").body == b"abc"
    assert server.get("/seen")[before:] == ["/echo"] * 3 + ["/seen"]


def test_G3_values_of_events_are_of_the_types_allowed(shared: Serve, library: str) -> None:
    """The probe fails on any other type; the messages are dicts with a str type."""
    server = shared(APP, library)
    found = server.ask("POST", "/messages", b"abc").json()
    assert found == [{"type": "http.request", "body": {"bytes": "abc"}, "more_body": False}]
    assert server.get("/types")["headers"] == "list"


@pytest.mark.parametrize("case", BAD_MESSAGES)
def test_G4_bad_message_raises_and_a_good_one_still_goes(shared: Serve, library: str, case: str) -> None:
    answer = shared(APP, library).ask(target=f"/bad_message?case={case}")
    assert answer.status == 200 and answer.get("x-evil") is None
    kinds = answer.json()["raised"]
    assert "Exception" in kinds
    assert "OSError" not in kinds, "that would mean that the client has gone"
    assert answer.json()["text"], "an exception without a word"


@pytest.mark.parametrize("kind", ["str", "int", "none", "list"])
def test_G4_body_of_a_wrong_type_raises(shared: Serve, library: str, kind: str) -> None:
    answer = shared(APP, library).ask(target=f"/bad_body?kind={kind}")
    assert answer.body == b"TypeError"


def test_G4_second_start_raises(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/second_start")
    assert (answer.status, answer.body) == (201, b"RuntimeError")


def test_G5_unknown_keys_are_ignored(shared: Serve, library: str) -> None:
    assert shared(APP, library).ask(target="/extra_keys").body == b"fine"


def test_G5_missing_keys_have_their_defaults(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/fewest_keys")
    assert answer.status == 204 and answer.framing == "none"


@pytest.mark.parametrize(
    "page", ["/raise_early", "/raise_after_start", "/return_early", "/return_after_start"]
)
def test_G6_failure_before_the_body_is_a_500(shared: Serve, library: str, page: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        answer = client.ask(target=page)
        assert answer.status == 500 and answer.complete
        assert answer.get("x-never") is None
        assert answer.get("connection") == "close" and client.closed()
    assert server.ask(target="/echo").status == 200


def test_G6_return_without_answer_after_suspending_is_a_500(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        assert client.ask(target="/return_early?ms=10").status == 500
        assert client.closed()


@pytest.mark.parametrize("page", ["/raise_in_body", "/raise_in_body?later=1", "/return_in_body"])
def test_G6_failure_in_a_chunked_body_ends_the_connection(shared: Serve, library: str, page: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        answer = client.ask(target=page)
        assert answer.framing == "chunked" and not answer.complete, "the last chunk would tell of success"
        assert answer.body == b"a piece"
        assert client.closed()
    assert server.ask(target="/echo").status == 200


def test_G6_failure_in_a_body_of_known_length_ends_the_connection(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        answer = client.ask(target="/raise_in_body?length=1")
        assert answer.framing == "length" and not answer.complete
        assert client.closed()


def test_G6_failure_after_the_end_leaves_the_answer(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/raise_after_end")
    assert answer.body == b"complete" and answer.complete


def test_G6_exceptions_are_logged_with_their_traceback(own: Serve, library: str) -> None:
    server = own(APP, library)
    server.ask(target="/raise_early")
    server.ask(target="/raise_after_end")
    server.ask(target="/return_early")
    assert server.stop() == 0
    log = server.log()
    assert "ValueError: on purpose, early" in log and "ValueError: on purpose, after the end" in log
    assert log.count("Exception in ASGI application") == 2 and log.count("Traceback") == 2
    assert "ASGI callable returned without starting response" in log


def test_G7_messages_after_the_end_are_ignored(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        assert client.ask(target="/after_the_end").body == b"the answer"
        assert client.ask("POST", "/echo", b"next").body == b"next"


@pytest.mark.parametrize("then", ["raise", "wrap", "group", "return"])
def test_G8_what_send_raises_is_caught_and_not_logged(own: Serve, library: str, then: str) -> None:
    server = own(APP, library)
    with server.connect() as client:
        client.request(target=f"/disconnect?token=one&then={then}")
        until(lambda: ["one", "waits"] in server.get("/noted"), "the application waits")
    until(lambda: ["one", ["http.disconnect"] * 3, True] in server.get("/noted"), "send() has raised")
    assert server.stop() == 0
    assert "Traceback" not in server.log() and "ERROR" not in server.log()


def test_G9_extensions_are_a_dict_of_what_is_supported(shared: Serve, library: str) -> None:
    extensions = shared(APP, library).get("/scope")["extensions"]
    assert set(extensions) == {"tricorn.cancel_on_disconnect", "tricorn.shutdown"}


def test_G10_double_callable_of_asgi_2(shared: Serve, library: str) -> None:
    answer = shared("statements:Double", library).ask("POST", "/", b"body")
    assert answer.json() == ["2.0", "body"]


def test_G10_factory(shared: Serve, library: str) -> None:
    assert shared("statements:factory", library, "--factory").ask("POST", "/echo", b"body").body == b"body"


def test_G1_function_that_returns_an_awaitable(shared: Serve, library: str) -> None:
    assert shared("statements:plain_function", library).ask().body == b"awaited"


def test_G11_application_runs_on_the_main_thread(shared: Serve, library: str) -> None:
    assert shared(APP, library).get("/thread") is True


def test_G12_nothing_of_a_scope_is_shared(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        first, second = (client.ask(target="/tamper").json() for _ in range(2))
    assert first == second and "leak" not in str(second)


def test_G12_emptied_scope_does_no_harm(shared: Serve, library: str) -> None:
    assert shared(APP, library).ask(target="/copied_scope").body == b"fine"

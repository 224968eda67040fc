"""Classes of frames from outside that break the contract: none of them harms the server, or another WebSocket."""

from __future__ import annotations

import pytest
from harness import Serve, frames, until
from websocket_client import (
    ACCEPT,
    APP,
    CONNECT,
    FIELDS,
    PING,
    Peer,
    Script,
    ended,
    frame,
    reach,
    refused,
    said,
    sends,
)

pytestmark = pytest.mark.skipif(frames != "tricorn", reason="these tests name their frames themselves")

FAULTS = {
    "FailsToBeMade": "ValueError: odd",
    "FailsToRecv": "ValueError: odd",
    "RecvTellsANumber": "recv() gave int, not None",
    "FailsToTell": "ValueError: odd",
    "GivesText": "gave str, which is no event",
    "GivesABareMessage": "gave Message, which is no event",
    "GivesANumber": "data of a message is int, not str or bytes",
    "GivesHalfACharacter": "surrogates not allowed",
    "GivesTextInAPing": "payload of an event is str, not bytes",
    "GivesALongPing": "126 bytes where at most 125 may be",
    "GivesNoPayload": "payload of an event is NoneType, not bytes",
    "ClosesWithBytes": "reason of an event is bytes, not str",
    "ClosesAtLength": "124 bytes where at most 123 may be",
    "ClosesWithAWord": "TypeError",
    "ClosesOddly": "the code 1006, which no close frame can have",
    "FailsOddly": "the code 200",
    "FailsWithoutACode": "the code 1005, which is never sent",
    "NeverEnds": "more events than it got bytes",
}
"""Classes that fail as bytes come, and what the log says."""

IN_THE_HANDSHAKE = {
    "FailsToBeMade": "ValueError: odd",
    "FailsToNegotiate": "ValueError: odd",
    "NegotiatesBytes": "negotiate() gave bytes, not str",
    "NegotiatesLines": "no value of a field",
    "NegotiatesAtLength": "no value of a field",
}

ALARM = "Exception in the WebSocket's code"


@pytest.mark.in_turn
@pytest.mark.parametrize("name", FAULTS)
def test_class_that_fails_is_logged_and_its_socket_closed(own: Serve, library: str, name: str) -> None:
    server = own(APP, library, "--ws", f"odd_frames:{name}")
    for _ in range(3):
        script = Script(CONNECT, ACCEPT, ["drain"])
        with reach(server, script.target) as peer:
            peer.text("a" * 50)
            assert peer.failed() == 1011
        until(lambda script=script: script.notes(server), "the end")
        assert script.notes(server)[-1]["code"] == 1011
    assert server.stop() == 0
    assert server.log().count(ALARM) == 3 and FAULTS[name] in server.log()


@pytest.mark.in_turn
@pytest.mark.parametrize("name", IN_THE_HANDSHAKE)
def test_class_that_fails_in_the_handshake(own: Serve, library: str, name: str) -> None:
    """The application's accept raises what a sent message raises after the end."""
    server = own(APP, library, "--ws", f"odd_frames:{name}")
    script = Script(CONNECT, ["try", {"type": "websocket.accept"}], ["drain"])
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    fields = [*FIELDS, *offer]
    assert refused(server, fields, script.target).status == 500
    raised, end = script.noted(server, 2)
    assert raised[0] == "ClientDisconnected" and end == ended(1006)
    assert server.stop() == 0
    assert server.log().count(ALARM) == 1 and IN_THE_HANDSHAKE[name] in server.log()


@pytest.mark.in_turn
def test_headers_are_sent_as_they_were_given(own: Serve, library: str) -> None:
    """Though the class changes the application's list of them meanwhile."""
    server = own("odd_frames:keep_headers", library, "--ws", "odd_frames:ChangesHeaders", "--lifespan", "off")
    with reach(server, offer="permessage-deflate") as peer:
        assert peer.answered
        given = {name: value for name, value in peer.answered.fields if name.startswith("x-")}
        assert given == {f"x-{number}": f"{number:050}" for number in range(1, 9)}
    assert server.stop() == 0 and ALARM not in server.log()


@pytest.mark.in_turn
@pytest.mark.parametrize("options", [(), ("--http", "odd_parsers:WritesHeads")], ids=["", "written"])
def test_headers_go_as_garbage_is_collected(own: Serve, library: str, options: tuple[str, ...]) -> None:
    """They are sent, or fewer, or that is refused: the server lives, and nothing else is sent for them."""
    server = own("odd_frames:collect_headers", library, "--lifespan", "off", *options)
    whole = 0
    for count in (1, 30, 100):
        for moment in range(12):
            with server.connect() as client:
                answer = client.ask(target=f"/{moment}?{count}")
            with Peer(server.dial()) as peer:
                peer.ask_upgrade(f"/{moment}?{count}")
                upgrade = peer.answer()
            for given in (answer.fields, upgrade.fields):
                found = [(name, value) for name, value in given if name.startswith("x-")]
                assert found == [(f"x-{number}", f"{number:050}") for number in range(len(found))]
                whole += len(found) == count
    assert whole > 20
    assert server.stop() == 0


@pytest.mark.in_turn
@pytest.mark.parametrize("name", ["FailsToSend", "SendsText"])
def test_class_that_fails_to_send(own: Serve, library: str, name: str) -> None:
    server = own(APP, library, "--ws", f"odd_frames:{name}")
    script = Script(CONNECT, ACCEPT, *(["try", sends("a")[1]] for _ in range(2)), ["drain"])
    with reach(server, script.target) as peer:
        assert peer.failed() == 1011
    first, second, end = script.noted(server, 3)
    assert first[0] == second[0] == "ClientDisconnected" and end["code"] == 1011
    assert server.stop() == 0 and server.log().count(ALARM) == 1


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("name", "options"), [("FailsToPong", ()), ("FailsToPing", ("--ws-ping-interval", "0.05"))]
)
def test_class_that_fails_to_keep_alive(
    own: Serve, library: str, name: str, options: tuple[str, ...]
) -> None:
    server = own(APP, library, "--ws", f"odd_frames:{name}", *options)
    with reach(server) as peer:
        peer.send(frame(PING, b"a"))
        assert peer.failed() == 1011
    assert server.stop() == 0 and server.log().count(ALARM) == 1


@pytest.mark.in_turn
@pytest.mark.parametrize("name", ["FailsToClose", "ClosesWithText"])
def test_class_that_fails_to_close(own: Serve, library: str, name: str) -> None:
    """The close frame is sent all the same, whoever closes."""
    server = own(APP, library, "--ws", f"odd_frames:{name}")
    script = Script(CONNECT, ACCEPT, ["send", {"type": "websocket.close", "code": 4000, "reason": "é"}])
    with reach(server, script.target) as peer:
        assert peer.closing() == (4000, "é")
    with reach(server) as peer:
        peer.text("a")
        assert peer.message() == "a"
        assert peer.leave(4001, "by us")[0] == 4001
    with reach(server) as peer:
        assert server.stop() == 0
        assert peer.closing()[0] == 1012
    assert server.log().count(ALARM) == 3


def test_interrupt_within_a_class_stops_the_server(own: Serve, library: str) -> None:
    server = own(APP, library, "--ws", "odd_frames:IsInterrupted")
    with reach(server) as peer:
        peer.text("a")
        assert peer.closing()[0] == 1011
    assert server.wait() == 0 and ALARM not in server.log()


@pytest.mark.in_turn
def test_size_holds_whatever_the_class_gives(own: Serve, library: str) -> None:
    server = own(APP, library, "--ws", "odd_frames:GivesTooMuch", "--ws-max-size", "4999")
    with reach(server) as peer:
        peer.text("a")
        assert peer.failed() == 1009
    assert server.stop() == 0 and ALARM not in server.log()


@pytest.mark.in_turn
def test_nothing_comes_after_a_failure(own: Serve, library: str) -> None:
    """What came before it does."""
    server = own(APP, library, "--ws", "odd_frames:Refuses")
    script = Script(CONNECT, ACCEPT, ["drain"])
    with reach(server, script.target) as peer:
        peer.text("a")
        assert peer.failed() == 1008
    assert script.noted(server, 2)[0] == said("before") and script.notes(server)[1]["code"] == 1008
    assert server.stop() == 0 and ALARM not in server.log()


@pytest.mark.in_turn
def test_nothing_comes_after_a_close(own: Serve, library: str) -> None:
    server = own(APP, library, "--ws", "odd_frames:Closes")
    script = Script(CONNECT, ACCEPT, ["drain"])
    with reach(server, script.target) as peer:
        peer.text("a")
        assert peer.closing()[0] == 4000 and peer.closed()
    assert script.noted(server) == [ended(4000, "é" * 61)]
    assert server.stop() == 0 and ALARM not in server.log()


@pytest.mark.parametrize("name", ["wsproto", "websockets", "websockets-sansio", "odd_frames:Fair"])
def test_fair_class_serves_on(own: Serve, library: str, name: str) -> None:
    """Sockets, many messages in one read with a queue of one, and a broadcast's messages."""
    server = own(APP, library, "--ws", name, "--ws-max-queue", "1", "--ws-deflate-min-size", "0")
    for offer in (None, "permessage-deflate"):
        with reach(server, offer=offer) as peer:
            peer.send(b"".join(frame(1, b"%d" % number) for number in range(500)))
            assert [peer.message() for _ in range(500)] == [str(number) for number in range(500)]
            peer.binary(bytes(300_000))
            found = peer.next()
            assert found.payload == bytes(300_000) and found.compressed is (offer is not None)
            assert peer.leave(3000, "bye")[0] == 3000
    assert server.stop() == 0 and ALARM not in server.log()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere:Frames", "there is no module 'nowhere' to take the WebSocket library from"),
        ("odd_frames:Nobody", "has no attribute 'Nobody'"),
        ("odd_frames:PLAIN", "is 'int', which makes no frames"),
        (
            "odd_frames:LacksAMethod",
            "the class odd_frames.LacksAMethod has no method negotiate(), and so makes no",
        ),
        ("uvicorn.protocols.websockets.wsproto_impl:WSProtocol", "has no method negotiate()"),
    ],
)
def test_class_that_is_not_to_be_had(own: Serve, name: str, problem: str) -> None:
    server = own(APP, "asyncio", "--ws", name, ready=False)
    assert server.wait() == 3 and problem in server.log() and "Traceback" not in server.log()
    assert server.log().count("\n") == 1

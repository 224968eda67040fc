"""WebSockets and tasks: sends that never mix, receives that are cancelled, both at once from different tasks."""

from __future__ import annotations

import socket
import time

import pytest
from harness import Serve, Server, until
from websocket_client import CLOSE, close_frame, frame, reach

APP = "websocket_tasks:app"
TEXT = 1


@pytest.mark.parametrize(("size", "offer"), [(10, None), (200_000, None), (50_000, "permessage-deflate")])
def test_F3_messages_of_many_tasks_never_mix(
    shared: Serve, library: str, size: int, offer: str | None
) -> None:
    """The client reads slowly, so that sends are suspended in the middle of what they send."""
    tasks, turns = 8, 10
    target = f"/crowd?tasks={tasks}&turns={turns}&size={size}"
    with reach(shared(APP, library), target, offer=offer, room=8192) as peer:
        time.sleep(0.2)
        seen: dict[int, int] = {}
        for _ in range(tasks * turns):
            message = peer.message()
            assert isinstance(message, str)
            number, turn, letters = message.split(":")
            assert set(letters) == {chr(97 + int(number))}
            assert len(letters) == (size if (int(number) + int(turn)) % 2 else 10)
            assert seen.get(int(number), -1) == int(turn) - 1, "a task's own messages are in order"
            seen[int(number)] = int(turn)
        assert peer.message() == "all"


def test_F1_cancelled_receive_loses_nothing(shared: Serve, library: str) -> None:
    """Messages come at moments of every kind, while receive() is given up every few milliseconds."""
    with reach(shared(APP, library), "/impatient?seconds=0.002") as peer:
        for number in range(300):
            peer.text(str(number))
            if number % 7 == 0:
                time.sleep(0.003)
        assert [peer.message() for _ in range(300)] == [str(number) for number in range(300)]
        time.sleep(0.1)
        peer.text("count")
        counted = peer.message()
        assert isinstance(counted, str) and int(counted.partition(":")[2]) > 5, "it was given up"
        assert peer.leave() == (1000, "")


def test_F1_expired_receive_gives_what_is_there(shared: Serve, library: str) -> None:
    words = ["go", "a", "b", "c", "last"]
    with reach(shared(APP, library), "/expired") as peer:
        peer.send(b"".join(frame(TEXT, word.encode()) for word in words))
        assert peer.message() == "a,b,c,last"


def test_F3_sending_and_receiving_at_once(shared: Serve, library: str) -> None:
    count = 2000
    with reach(shared(APP, library), f"/duplex?count={count}") as peer:
        for _ in range(0, count, 100):
            peer.send(frame(TEXT, b"x" * 50) * 100)
        got = [peer.message() for _ in range(count + 1)]
        assert [message for message in got if message != "received all"] == [str(n) for n in range(count)]
        assert "received all" in got
        assert peer.leave() == (1000, "")


def test_F3_several_tasks_receive(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with reach(server, "/readers?count=50") as peer:
        for number in range(50):
            peer.text(f"{number:02}")
        assert peer.message() == ",".join(f"{number:02}" for number in range(50))
        assert peer.leave(3005) == (3005, "")
    until(lambda: "readers ended [3005, 3005, 3005]" in server.access(), "all are told")


def blocked_ended(server: Server, before: int) -> tuple[str, int]:
    """Wait until one more has told its end; return its line, and how many of its sends did not fail."""
    until(lambda: server.access().count("blocked ended") > before, "the end")
    lines = [line for line in server.access().splitlines() if line.startswith("blocked ended")]
    line, _, sent = lines[-1].rpartition(" ")
    return line, int(sent)


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_W8_disconnect_while_a_send_is_suspended(shared: Serve, library: str, how: str) -> None:
    """The suspended send() raises, and is not suspended for ever."""
    server = shared(APP, library)
    before = server.access().count("blocked ended")
    peer = reach(server, "/blocked", room=4096)
    time.sleep(0.3)
    if how == "close":
        peer.close()
    elif how == "reset":
        peer.reset()
    else:
        peer.socket.shutdown(socket.SHUT_WR)
    assert blocked_ended(server, before)[0] == "blocked ended 1006 ['ClientDisconnected']"
    peer.close()


@pytest.mark.parametrize("writers", [1, 2, 3])
def test_W9_message_that_goes_before_the_end_was_sent(shared: Serve, library: str, writers: int) -> None:
    """A client that closes while a send() waits for room gets that message before our close frame: the next fails, and
    so do those of other tasks that waited behind it."""
    server = shared(APP, library)
    before = server.access().count("blocked ended")
    with reach(server, f"/blocked?writers={writers}", room=4096) as peer:
        time.sleep(0.3)
        peer.send(close_frame(3005))
        line, sent = blocked_ended(server, before)
        assert line == f"blocked ended 3005 {['ClientDisconnected'] * writers}"
        assert [peer.message() for _ in range(sent)] == [bytes(100_000)] * sent
        last = peer.next()
        assert (last.opcode, last.code) == (CLOSE, 3005)


@pytest.mark.parametrize(("how", "seconds"), [("silent", "0.5"), ("half", "30")])
def test_W9_message_that_never_went_was_not_sent(shared: Serve, library: str, how: str, seconds: str) -> None:
    """The application closes while a send() waits; the client takes nothing of it in the time that it has, or ends its
    side without a close frame."""
    server = shared(APP, library, "--ws-close-timeout", seconds)
    before = server.access().count("closing ended")
    with reach(server, "/closing", room=4096) as peer:
        if how == "half":
            time.sleep(1)
            peer.socket.shutdown(socket.SHUT_WR)
        until(lambda: server.access().count("closing ended") > before, "the end")
    line = [line for line in server.access().splitlines() if line.startswith("closing ended")][-1]
    assert line == "closing ended ['ClientDisconnected']"


def test_cancelled_send_leaves_whole_messages(shared: Serve, library: str) -> None:
    """Whether the cancelled message itself was sent is open; half of it never is."""
    with reach(shared(APP, library), "/cancelled_send", room=4096) as peer:
        time.sleep(1)
        count = 0
        message = peer.message()
        while isinstance(message, bytes):
            assert message[:8] == b"%08d" % count and len(message) == 100_008
            count += 1
            message = peer.message()
        sent = int(message.split()[1])
        assert sent <= count <= sent + 1


def test_cancelled_sends_keep_no_memory(shared: Serve, library: str) -> None:
    """An application that gives up each send() to a slow client: what waits does not grow with the attempts."""
    server = shared(APP, library)
    before, memory = server.access().count("impatient given up"), server.memory()
    with reach(server, "/impatient_send?times=300&size=200000", room=4096) as peer:
        until(lambda: server.access().count("impatient given up") > before, "the end of the attempts")
        assert server.memory() - memory < 12 << 20, f"{server.memory() - memory} bytes more"
        numbers = []
        message = peer.message()
        while isinstance(message, bytes):
            assert len(message) == 200_008
            numbers.append(int(message[:8]))
            message = peer.message()
        assert numbers == sorted(set(numbers))
        sent = int(message.split()[1])
        assert sent <= len(numbers) < 300, "each send() that was given up may have sent its message, whole"
        peer.text("end")

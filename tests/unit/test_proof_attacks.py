"""What the attacks of the proof are made of: the attacker, what is looked at, and what is held to be good."""

from __future__ import annotations

import itertools
import json
import math
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from proof import assaults, attacks, besieged, rivals
from proof.assault import PIECE, Assault, Plan
from proof.assaults import ATTACKS, Attack, Program
from proof.attacks import MIB, SHORT, WHOLE, Row
from proof.besieged import Look, Outcome, Siege
from proof.table import Settings

from tricorn.options import OPTIONS

GOOD = Outcome(10, 2.0, 10, None, 0, 0, 0, 0.1, 0.001, 0.01, ())
WAITS = Attack("waits", "waits", Plan(assaults.once(), 500), 16, deadlines=("timeout-write",))
FLOODS = replace(WAITS, deadlines=())


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    """A listener, and its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(10)
        yield listener, listener.getsockname()[1]


def attacking(plan: Plan, port: int, seconds: float) -> tuple[Assault, threading.Thread]:
    """Start an attack of so many seconds."""
    assault = Assault(plan, port)
    thread = threading.Thread(target=assault.run, args=(seconds,))
    thread.start()
    return assault, thread


def test_client_sends_its_pieces_in_their_order() -> None:
    """Large ones too, of which a socket takes a part at a time."""
    pieces = [bytes([number]) * 300_000 for number in range(20)]
    with listening() as (listener, port):
        _, thread = attacking(Plan(lambda: iter(pieces), 1), port, 2)
        with listener.accept()[0] as connection:
            connection.settimeout(10)
            received = b""
            while data := connection.recv(1 << 20):
                received += data
        thread.join()
    assert received == b"".join(pieces)


def test_clients_hold_their_connections_until_the_end() -> None:
    with listening() as (listener, port):
        assault, thread = attacking(Plan(assaults.once(b"a"), 5), port, 0.5)
        held = [listener.accept()[0] for _ in range(5)]
        for connection in held:
            connection.settimeout(10)
            assert connection.recv(10) == b"a"
            assert connection.recv(10) == b""
            connection.close()
        thread.join()
    assert (assault.opened, assault.refused, assault.ended) == (5, 0, 0)


@pytest.mark.parametrize("again", [True, False])
def test_connection_that_was_ended_is_replaced(again: bool) -> None:
    with listening() as (listener, port):
        assault, thread = attacking(Plan(assaults.once(b"a"), 1, again=again), port, 1)
        listener.accept()[0].close()
        if again:
            listener.accept()[0].close()
        thread.join()
    assert assault.opened > 1 if again else assault.opened == 1
    assert assault.ended == 1 + again


def test_first_piece_goes_alone() -> None:
    """Where the server has to answer it first; what follows is sent together."""
    with listening() as (listener, port):
        _, thread = attacking(Plan(assaults.forever(b"first", b"next"), 1, pause=0.3), port, 1)
        with listener.accept()[0] as connection:
            connection.settimeout(10)
            assert connection.recv(1 << 16) == b"first"
            assert connection.recv(4) == b"next"
        thread.join()


def test_client_leaves() -> None:
    """With the first bytes of an answer, or after a while."""
    with listening() as (listener, port):
        for plan in (Plan(assaults.once(b"a"), 1, leaves=True), Plan(assaults.once(b"a"), 1, stays=0.1)):
            _, thread = attacking(plan, port, 5)
            with listener.accept()[0] as connection:
                connection.settimeout(10)
                assert connection.recv(10) == b"a"
                if plan.leaves:
                    connection.sendall(b"answer")
                began = time.monotonic()
                assert connection.recv(10) == b""
                assert time.monotonic() - began < 4
            thread.join()


def test_attack_on_nobody() -> None:
    """Connections that cannot be opened are counted."""
    with listening() as (_, port):
        pass
    assault, thread = attacking(Plan(assaults.once(), 3), port, 0.2)
    thread.join()
    assert assault.refused == assault.opened == 3


def test_attacks_are_well_made() -> None:
    """Names are unique; deadlines are options; clients have something to send, and floods have it without end."""
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names)
    options = {option.name for option in OPTIONS}
    for attack in ATTACKS:
        assert set(attack.deadlines) <= options
        if isinstance(attack.force, Program):
            assert any("{port}" in part for part in attack.force.command)
            assert any("{seconds}" in part for part in attack.force.command)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_have_the_shortest_length(size: int) -> None:
    """Another is no frame, and would be refused before it does any harm."""
    frame = assaults.piece(0x82, bytes(size))
    code = frame[1] & 0x7F
    written = {126: 2, 127: 8}.get(code, 0)
    length = int.from_bytes(frame[2 : 2 + written], "big") if written else code
    assert length == size and len(frame) == 2 + written + 4 + size
    assert written == (0 if size < 126 else 2 if size < 65_536 else 8)


def test_bomb_is_what_it_says() -> None:
    frame = assaults.zeros(2)
    payload = frame[8:] if frame[1] & 0x7F == 126 else frame[14:]
    inflated = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
    assert inflated == bytes(2 << 20)


def test_windowless_client_asks_a_hundred_times() -> None:
    """Behind a setting that leaves no window."""
    opening, requests = assaults.windowless()
    assert opening.endswith(struct.pack("!HI", 4, 0))
    assert requests.count(b"/large") == 100


def test_flood_has_no_end() -> None:
    flood = assaults.forever(b"a", b"b")()
    assert list(itertools.islice(flood, PIECE)) == [b"a"] + [b"b"] * (PIECE - 1)


def test_late_connections() -> None:
    """Those that are there after the time by which all should have ended; the probe's is none of them."""
    before = Look(0.0, 10, 0)
    seen = ((1.0, 61), (2.0, 111), (3.0, 110), (4.0, 111), (5.0, 13), (6.0, 11))
    looks = [Look(at, descriptors, 0) for at, descriptors in seen]

    def late(due: float, seconds: float) -> int:
        return besieged.late(looks, before, Siege(attacks.start, seconds, due))

    assert late(1.0, 9.0) == 0  # it took a little longer, but they are gone
    assert late(1.0, 5.0) == 2
    assert late(1.0, 4.0) == 99
    assert late(4.0, 5.0) == 0  # it was over by then
    assert late(math.inf, 9.0) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"grown": 17 * MIB},
        {"kept": 13 * MIB},
        {"late": 1},
        {"left": 1},
        {"failures": ("the probe was never answered",)},
    ],
)
def test_what_does_not_hold(change: dict[str, object]) -> None:
    assert attacks.held(WAITS, GOOD)
    assert not attacks.held(WAITS, replace(GOOD, **change))  # type: ignore[arg-type]


def test_what_went_wrong_is_told() -> None:
    told = attacks.figure(replace(GOOD, late=3, left=2, failures=("timed out",)))
    assert "3 late" in told and "2 descriptors left" in told and "timed out" in told


COUNTS = {"opened": 500, "refused": 0, "ended": 0}
PROGRAM = replace(WAITS, force=Program(("slowhttptest",), 500, assaults.ENDED))
ENDS = replace(FLOODS, ends=True)


@pytest.mark.parametrize(
    ("attack", "said", "held", "is_over", "told"),
    [
        (WAITS, COUNTS, 500, True, ""),
        (WAITS, COUNTS, 500, False, "the attack was over before its connections were due to end"),
        (FLOODS, COUNTS, 0, False, ""),
        (FLOODS, {**COUNTS, "refused": 1}, 500, False, "the attacker had only 499 connections"),
        (FLOODS, "Traceback", 500, False, "the attacker ended before its time"),
        (ENDS, {**COUNTS, "ended": 250}, 500, False, ""),
        (ENDS, {**COUNTS, "ended": 249}, 500, False, "the server ended only 249 connections"),
        (PROGRAM, "Exit status:\x1b[1;36m No open connections left", 125, False, ""),
        (PROGRAM, "Exit status: Hit test time limit", 124, False, "only 124 connections at once"),
        (PROGRAM, "Exit status: Connection refused", 500, False, "slowhttptest did not attack"),
        (PROGRAM, "", 500, False, "slowhttptest did not attack"),
    ],
)
def test_attack_that_was_none_has_not_held(
    attack: Attack, said: object, held: int, is_over: bool, told: str
) -> None:
    """Nor has one whose connections a server must end, and did not."""
    text = said if isinstance(said, str) else f"a warning\n{json.dumps(said)}\n"
    assert "; ".join(besieged.shortcomings(attack, text, held, is_over)) == told


def test_attacker_tells_its_counts_when_it_is_ended() -> None:
    with listening() as (listener, port), tempfile.TemporaryFile() as output:
        attack = next(attack for attack in ATTACKS if attack.name == "ws-pings")
        attacker = attacks.start(attack, port, 60, output)
        listener.accept()[0].close()
        attacker.terminate()
        assert attacker.wait(20) == 0
        output.seek(0)
        counts = besieged.counted(output.read().decode())
    assert counts["opened"] >= 1 and set(counts) == set(COUNTS)


def test_attack_of_nobody_has_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, with a server that is left in peace."""
    monkeypatch.setattr(besieged, "PROBED", 0.1)

    def nobody(*_: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["true"])

    siege = Siege(nobody, 2.0, math.inf)
    found = attacks.attacked(FLOODS, besieged.own_command("asyncio", ()), siege)
    assert found.failures == ("the attacker ended before its time",)
    assert not attacks.held(FLOODS, found)


def test_pace() -> None:
    """A short attack has short deadlines, a whole one the defaults; both go on until all are due to have ended."""
    assert SHORT.options(WAITS) == ("--timeout-write", "2", "--timeout-linger", "1")
    assert SHORT.options(FLOODS) == WHOLE.options(WAITS) == ()
    for pace, deadline in ((SHORT, 2), (WHOLE, 30)):
        siege = pace.siege(WAITS)
        assert siege.due > deadline + pace.linger and siege.seconds > siege.due
        assert pace.siege(FLOODS).seconds == pace.flood


def test_libraries_when_time_is_short() -> None:
    """Those that were named, else two."""
    assert attacks.chosen(Settings(), SHORT) == attacks.BRIEF
    assert attacks.chosen(Settings(), WHOLE) == Settings().libraries
    assert attacks.chosen(Settings(libraries=("curio",)), SHORT) == ("curio",)


def test_figures_are_kept_for_the_page(tmp_path: Path) -> None:
    """With the facts that a reader needs to judge them."""
    path = tmp_path / "results" / "attacks.json"
    attacks.keep([Row(WAITS, "trio", replace(GOOD, held=7))], path, "proof/run attacks")
    read = json.loads(path.read_text())
    assert read["facts"]["command"] == "proof/run attacks" and set(read["facts"]) >= {
        "date",
        "commit",
        "machine",
        "load",
    }
    assert [(row["attack"], row["server"], row["held"]) for row in read["rows"]] == [("waits", "trio", 7)]


def test_rivals_are_under_what_they_speak() -> None:
    """No PROXY header, no options of ours, and HTTP/2 in clear text where all have it."""
    both = rivals.wanted(("uvicorn", "hypercorn"), ())
    assert {attack.speaks for attack in both} == {"clear", "tls"}
    assert "h2" in {attack.speaks for attack in rivals.wanted(("hypercorn",), ())}
    assert [attack.name for attack in rivals.wanted(("uvicorn",), ("silent",))] == ["silent"]

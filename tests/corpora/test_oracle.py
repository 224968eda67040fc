"""Generated requests, read by h11 and by the live server: they read the same, but for listed rules."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import corpus_gunicorn
import corpus_llhttp
import pytest
from deviations import DIFFERENCES
from generate import generated
from play import Address, Script, play
from verdicts import Request, Verdict, observe, request

LONG = bool(os.environ.get("TRICORN_TEST_CORPORA_LONG"))
COUNT = 100_000 if LONG else 15_000


@pytest.fixture(scope="session")
def h11(corpora: Path) -> ModuleType:
    """The module h11, of the corpora."""
    (place,) = corpora.glob("h11-*")
    sys.path.insert(0, str(place))
    try:
        return importlib.import_module("h11")
    finally:
        sys.path.remove(str(place))


def read(h11: Any, data: bytes) -> Verdict:
    """Return h11's verdict on what comes on a connection, whose requests are all answered."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    connection.receive_data(b"")
    requests: list[Request] = []
    try:
        while connection.their_state is h11.IDLE:
            if (complete := _read_one(h11, connection)) is None:
                break
            requests.append(complete)
            # An error, which a CONNECT is no tunnel after.
            connection.send(h11.Response(status_code=400, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                break
            connection.start_next_cycle()
    except h11.RemoteProtocolError:
        return Verdict(tuple(requests), refused=True)
    return Verdict(tuple(requests))


def _read_one(h11: Any, connection: Any) -> Request | None:
    head, body = connection.next_event(), b""
    if type(head) is not h11.Request:
        return None
    while type(event := connection.next_event()) is h11.Data:
        body += event.data
    assert type(event) is h11.EndOfMessage, event
    # RFC 9112 §3.2.2: the target's authority replaces that of Host; h11 leaves it to others.
    absolute = re.match(rb"(?i)https?://([^/?]*)(.*)", head.target)
    replaced = {b"host": absolute[1]} if absolute else {}
    target = (absolute[2] if absolute else head.target).decode()
    target = target if target.startswith(("/", "*")) or not absolute else f"/{target}"
    fields = [
        (name.decode("latin-1"), replaced.get(name, value).decode("latin-1")) for name, value in head.headers
    ]
    return request(head.method.decode().upper(), target, head.http_version.decode(), fields, bytes(body))


def seeds(corpora: Path) -> list[bytes]:
    """Return the bytes of every corpus, those of h11's fuzzer, too."""
    (requests,) = corpora.glob("gunicorn-*/tests/requests")
    (fixtures,) = corpora.glob("aiohttp-*/vendor/llhttp/test/request")
    cases = [*corpus_gunicorn.cases(requests), *corpus_llhttp.cases(fixtures)]
    return [case.data for case in cases] + [path.read_bytes() for path in corpora.glob("h11-*/fuzz/afl-*/*")]


def explained(data: bytes) -> list[str]:
    """Return which rules that differ apply to some bytes."""
    return [row.what for row in DIFFERENCES if row.pattern.search(data)]


def compare(h11: Any, address: Address, inputs: list[bytes]) -> tuple[Counter[str], list[str]]:
    """Compare both readings of each input; return how often what was seen, and what nothing explains."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for data, answers in zip(inputs, play(address, (Script([data], True) for data in inputs)), strict=True):
        observed, theirs = observe(answers), read(h11, data)
        rules = explained(data)
        if not observed.well_ended:
            wrong.append(f"{data!r}\n  does not end well: {answers[-200:]!r}")
        elif observed.verdict == theirs:
            counts["refused by both" if theirs.refused else "served by both"] += 1
        else:
            counts.update(rules)
            counts["differ"] += 1
            if not rules:
                wrong.append(f"{data!r}\n  h11    {theirs}\n  server {observed.verdict} {observed.statuses}")
    return counts, wrong


def test_corpora_are_read_as_h11_reads_them(h11: Any, mirror: Callable[..., Address], corpora: Path) -> None:
    _, wrong = compare(h11, mirror("asyncio"), seeds(corpora))
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.timeout(900)
def test_generated_requests_are_read_as_h11_reads_them(h11: Any, mirror: Callable[..., Address]) -> None:
    seed = int.from_bytes(os.urandom(4)) if LONG else 1
    counts, wrong = compare(h11, mirror("asyncio"), list(generated(seed, COUNT)))
    assert not wrong, f"seed {seed}, {len(wrong)} of {COUNT}, {counts}\n" + "\n".join(wrong[:10])
    assert min(counts["served by both"], counts["refused by both"]) > 0.2 * COUNT, counts


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.what)
def test_differences(h11: Any, mirror: Callable[..., Address], row: Any) -> None:
    """The examples of docs/policy.md show that the two differ, and how the server answers."""
    (answers,) = play(mirror("asyncio"), [Script([row.example], half_close=True)])
    observed = observe(answers)
    assert row.pattern.search(row.example) and observed.verdict != read(h11, row.example)
    assert (observed.statuses[0] if observed.statuses else 200) == row.status

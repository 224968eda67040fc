"""Requests that others wrote, played to the live server: the verdict is the corpus's or a listed one, and the same
however the bytes come. After a bad request nothing is parsed, and the connection closes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from itertools import pairwise
from pathlib import Path

import corpus_gunicorn
import corpus_llhttp
import pytest
from deviations import DEVIATIONS, RULES, SERVED, Deviation, Rule
from play import Address, Script, play
from verdicts import Case, Observed, Verdict, observe

MirrorOf = Callable[..., Address]

LONG = bool(os.environ.get("TRICORN_TEST_CORPORA_LONG"))
PROBE = b"GET /probe?%s HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
BEFORE = b"GET /before HTTP/1.1\r\nHost: before\r\n\r\n"


@cache
def load(corpora: Path) -> tuple[Case, ...]:
    """Return the cases of all corpora."""
    (requests,) = corpora.glob("gunicorn-*/tests/requests")
    (fixtures,) = corpora.glob("aiohttp-*/vendor/llhttp/test/request")
    return (*corpus_gunicorn.cases(requests), *corpus_llhttp.cases(fixtures))


@pytest.fixture(scope="session")
def cases(corpora: Path) -> tuple[Case, ...]:
    """All cases."""
    return load(corpora)


def script(case: Case, *cuts: int, before: bytes = b"") -> Script:
    """Return how a case is played: what follows it would be answered, if it were parsed."""
    data = before + case.data + (b"" if case.cut else PROBE % case.name.encode())
    places = [0, *cuts, len(data)]
    return Script([data[a:b] for a, b in pairwise(places)], half_close=case.cut)


def answers_of(address: Address, scripts: Iterator[Script] | list[Script]) -> Iterator[bytes]:
    """Play scripts; an interim answer depends on how fast a body comes, and is left out."""
    for answers in play(address, scripts):
        yield answers.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")


def wholes(address: Address, cases: tuple[Case, ...]) -> list[bytes]:
    """Return the answers to each case when it comes whole."""
    return list(answers_of(address, [script(case) for case in cases]))


def deviation(case: Case) -> Deviation | None:
    """Return the row of the table that a case is in."""
    found = [row for row in DEVIATIONS if any(fnmatchcase(case.name, pattern) for pattern in row.cases)]
    assert len(found) <= 1, f"{case.name} is listed twice"
    return found[0] if found else None


def complaint(case: Case, observed: Observed) -> str:
    """Return what is wrong with the verdict on a case, nothing when all is well."""
    ours = Verdict(
        tuple(each for each in observed.requests if not each.target.startswith("/probe?")),
        observed.verdict.refused,
    )
    row = deviation(case)
    status = observed.statuses[0] if observed.statuses else SERVED
    shown = f"{case.name} {sorted(case.options)}: {status}\n  {case.data[:400]!r}\n"
    shown += f"  corpus {case.verdict}\n  server {ours}"
    if not observed.well_ended or len(observed.statuses) > 1:
        return f"{shown}\n  the connection did not end as it should"
    if row is None:
        return "" if ours == case.verdict else f"{shown}\n  mend it, or list it in deviations.py"
    if ours == case.verdict:
        return f"{shown}\n  they agree: take it out of deviations.py"
    return "" if status == row.status else f"{shown}\n  the table says {row.status}"


@pytest.mark.parametrize("library", ["asyncio", "uvloop", "trio", "curio"])
def test_verdicts_are_those_of_the_corpora(mirror: MirrorOf, cases: tuple[Case, ...], library: str) -> None:
    observed = [observe(answers) for answers in wholes(mirror(library), cases)]
    wrong = [text for case, each in zip(cases, observed, strict=True) if (text := complaint(case, each))]
    assert not wrong, "\n".join(wrong)


def test_corpora_are_whole(cases: tuple[Case, ...]) -> None:
    """The readers of the corpora find what is there: a change of a format must not empty the suite."""
    counts = {name: sum(case.name.startswith(name) for case in cases) for name in ("gunicorn", "llhttp")}
    assert counts == {"gunicorn": 143, "llhttp": 166}
    refused = sum(case.verdict.refused for case in cases)
    assert 0.3 * len(cases) < refused < 0.7 * len(cases)
    for row in DEVIATIONS:
        for pattern in row.cases:
            assert any(fnmatchcase(case.name, pattern) for case in cases), f"no case is {pattern}"


def same(
    address: Address, cases: tuple[Case, ...], variants: Callable[[Case], Iterator[Script]], prefix: bytes
) -> None:
    """See that each variant of each case is answered, byte for byte, as the whole is."""
    expected = wholes(address, cases)
    played = [
        (case, answers, each)
        for case, answers in zip(cases, expected, strict=True)
        for each in variants(case)
    ]
    got = answers_of(address, (each for _, _, each in played))
    wrong = [
        f"{case.name} as {[len(piece) for piece in each.pieces]}:\n  {prefix + answers!r}\n  {data!r}"
        for (case, answers, each), data in zip(played, got, strict=True)
        if data != prefix + answers
    ]
    assert not wrong, "\n".join(wrong[:5])


def answer_before(address: Address) -> bytes:
    """Return the answer to the request that others are sent behind."""
    (answers,) = answers_of(address, [Script([BEFORE], half_close=True)])
    assert observe(answers).requests[0].target == "/before"
    return answers


def cuts(case: Case) -> Iterator[int]:
    """Yield the offsets at which a case is cut: all, but in the short form only some in the midst of long ones."""
    for at in range(1, len(case.data)):
        if LONG or at < 400 or at > len(case.data) - 100 or at % 41 == 0:
            yield at


@pytest.mark.parametrize("behind", [False, True], ids=["first", "behind"])
def test_byte_by_byte(mirror: MirrorOf, cases: tuple[Case, ...], behind: bool) -> None:
    address = mirror("asyncio")
    before = BEFORE if behind else b""

    def variants(case: Case) -> Iterator[Script]:
        if LONG or len(case.data) < 2000:
            yield script(case, *range(1, len(before + case.data)), before=before)

    same(address, cases, variants, answer_before(address) if behind else b"")


def test_behind_another_request(mirror: MirrorOf, cases: tuple[Case, ...]) -> None:
    address = mirror("asyncio")
    same(address, cases, lambda case: iter([script(case, before=BEFORE)]), answer_before(address))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "behind", [False, pytest.param(True, marks=pytest.mark.skipif(not LONG, reason="long"))]
)
def test_cut_at_every_offset(mirror: MirrorOf, cases: tuple[Case, ...], behind: bool) -> None:
    address = mirror("asyncio")
    before = BEFORE if behind else b""

    def variants(case: Case) -> Iterator[Script]:
        return (script(case, len(before) + at, before=before) for at in cuts(case))

    same(address, cases, variants, answer_before(address) if behind else b"")


def test_over_tcp(mirror: MirrorOf, cases: tuple[Case, ...]) -> None:
    """All that comes over a Unix socket above comes over TCP, too: whole, and in three pieces."""
    expected = wholes(mirror("asyncio"), cases)
    address = mirror("asyncio", on_port=True)
    pieces = [script(case, *sorted({len(case.data) // 3, len(case.data) - 1} - {0})) for case in cases]
    assert wholes(address, cases) == expected
    assert list(answers_of(address, pieces)) == expected


def test_nothing_is_parsed_behind_a_bad_request(mirror: MirrorOf, cases: tuple[Case, ...]) -> None:
    """The application has seen the request behind a case where that was answered, and nowhere else."""
    address = mirror("asyncio")
    answered = {
        case.name
        for case, answers in zip(cases, wholes(address, cases), strict=True)
        if any(each.target.startswith("/probe?") for each in observe(answers).requests)
    }
    (answers,) = play(address, [Script([b"GET /probes HTTP/1.0\r\n\r\n"])])
    shown = re.search(rb"x-shown: (.*)\r", answers)
    assert shown is not None and set(json.loads(shown[1])) == answered


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)
def test_rules(mirror: MirrorOf, rule: Rule) -> None:
    """The examples of docs/policy.md are answered as it says."""
    (answers,) = play(mirror("asyncio"), [Script([rule.example], half_close=True)])
    observed = observe(answers)
    assert observed.well_ended
    assert [SERVED for _ in observed.requests] + list(observed.statuses) == [rule.status]


def test_page_says_what_the_tables_say() -> None:
    """docs/policy.md is written by tools/gen_policy.py from the tables that are tested here."""
    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, str(root / "tools" / "gen_policy.py"), "--check"], check=True)

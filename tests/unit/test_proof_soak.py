"""The soak can fail: what leaks, answers wrongly, stays open or logs what it should not is told."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "asgi"))

from proof import soak_course, soak_verdict
from proof.soak_course import Course
from proof.soak_server import Soaked
from proof.soak_verdict import SIXTHS, Record, Rest, Sample, judge
from proof.table import Line

REST = Rest(
    answers=0,
    memory=20 << 20,
    descriptors=(12,),
    threads=1,
    objects=300,
    blocks=100_000,
    heap=6 << 20,
    references=0,
    parent=0,
)
MILLION = 1_000_000


def record(leak: float = 0.0, variant: str = "plain", **last: object) -> Record:
    """Return a run of a million answers in which each left so many bytes; the last rest may differ from the first."""
    samples = []
    for n in range(600):
        answers = n * MILLION // 600
        wave = 200_000 * (n % 7)
        memory = (20 << 20) + wave + int(leak * answers)
        samples.append(Sample(1 + n * SIXTHS // 600, answers, memory, 14 + n % 5))
    rests = [dataclasses.replace(REST, answers=n * MILLION // SIXTHS) for n in range(1, SIXTHS + 1)]
    rests[-1] = dataclasses.replace(rests[-1], **last)  # type: ignore[arg-type]
    hangups = 12 if variant in soak_verdict.SECURE else 0
    return Record("trio", variant, samples, rests, right=MILLION, kinds=20, hangups=hangups, code=0)


def failed(found: list[Line]) -> list[str]:
    """Return what did not hold, without the server's name."""
    return [line.what.partition(": ")[2] for line in found if not line.held]


def test_a_flat_run_holds() -> None:
    found = judge(record())
    assert failed(found) == []
    assert len(found) > 9


def test_a_few_bytes_a_request_are_noticed() -> None:
    assert failed(judge(record(leak=8))) == [
        "memory amid traffic, last sixth against second",
        "memory's slope from the second sixth on",
    ]


@pytest.mark.parametrize(
    ("last", "what"),
    [
        ({"memory": (20 << 20) + (513 << 10)}, "memory, KiB, at the rests"),
        ({"heap": (6 << 20) + (161 << 10)}, "KiB in use of the C heap at the rests"),
        ({"blocks": 100_601}, "Python's blocks at the rests"),
        ({"objects": 701}, "Python's objects at the rests"),
        ({"descriptors": (13,)}, "descriptors at the rests"),
        ({"threads": 2}, "threads at the rests"),
    ],
)
def test_what_is_not_given_back_is_noticed(last: dict[str, object], what: str) -> None:
    assert failed(judge(record(**last))) == [what]  # type: ignore[arg-type]


def test_a_supervisor_that_grows_is_noticed() -> None:
    run = record(variant="workers")
    run.rests = [dataclasses.replace(rest, parent=(n + 9) << 20) for n, rest in enumerate(run.rests)]
    assert failed(judge(run)) == ["the supervisor's memory, KiB, at the rests"]


def test_references_are_judged_where_python_counts_them() -> None:
    run = record()
    run.rests = [dataclasses.replace(rest, references=(n + 1) * 10_000) for n, rest in enumerate(run.rests)]
    assert failed(judge(run)) == ["Python's references at the rests"]


@pytest.mark.parametrize(
    ("held", "size", "what"),
    [
        ("heap", 120, "KiB in use of the C heap at the rests"),
        ("blocks", 1, "Python's blocks at the rests"),
    ],
)
def test_a_leak_with_one_answer_of_two_hundred_is_noticed(held: str, size: int, what: str) -> None:
    """Of half a million answers, which one process gives in an hour."""
    run, each = record(), size * 500_000 // SIXTHS // 200
    run.rests = [
        dataclasses.replace(rest, **{held: getattr(rest, held) + n * each})
        for n, rest in enumerate(run.rests)
    ]
    assert failed(judge(run)) == [what]


def test_what_was_not_seen_has_not_held() -> None:
    """Of a run that is over; before its end it may come yet."""
    run = record()
    run.samples, run.rests = [], []
    assert failed(judge(run)) == ["memory amid traffic", "what is held at the rests"]
    run.code = None
    assert failed(judge(run)) == []
    run = record(variant="tls")
    run.hangups = 0
    assert failed(judge(run)) == ["hang-ups amid traffic"]


def test_wrong_answers_and_exit_codes_are_noticed() -> None:
    run = record()
    run.wrong, run.code = ["http.upload: not this"], 1
    assert failed(judge(run)) == ["answers", "exit code"]
    assert failed(judge(Record("trio", "plain"))) == ["answers"]


def test_descriptors_that_pile_up_amid_traffic_are_noticed() -> None:
    run = record()
    run.samples[300] = dataclasses.replace(run.samples[300], descriptors=soak_verdict.OPEN + 1)
    assert failed(judge(run)) == ["descriptors amid traffic"]


def test_only_tracebacks_of_deliberate_errors_are_expected() -> None:
    deliberate = 'Traceback (most recent call last):\n  File "a"\n    raise\nRuntimeError: deliberate\n'
    strange = 'Traceback (most recent call last):\n  File "a"\n    raise\nKeyError: 5\n'
    assert soak_verdict.tracebacks(deliberate * 2 + strange + "INFO: more\n") == (3, ["KeyError: 5"])
    run = record()
    run.log = deliberate
    assert failed(judge(run)) == []
    run.log = deliberate + "Task was destroyed but it is pending!\n"
    assert failed(judge(run)) == ["tracebacks in the log"]
    run.log = strange
    assert failed(judge(run)) == ["tracebacks in the log"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the rests wait no longer than servers need that have little to do."""
    monkeypatch.setattr(soak_course, "SETTLING", 0.6)
    monkeypatch.setattr(soak_course, "CLOSING", 3.0)


@pytest.mark.usefixtures("short")
def test_clients_of_every_kind_are_served_while_workers_are_replaced(tmp_path: Path) -> None:
    """What is held depends on how much each new worker has done; the answers, the log and the end do not."""
    found = Course("asyncio", "workers", 4.0, tmp_path, share=0.3).run()
    told = {line.what.partition(": ")[2]: line for line in found}
    for what in ("answers", "hang-ups amid traffic", "tracebacks in the log", "exit code"):
        assert told[what].held, told[what]


def count_of(found: list[Line]) -> int:
    """Return how many answers a run has had."""
    figure = next(line.figure for line in found if line.what.endswith("answers"))
    return int(figure.partition(" ")[0].replace(",", ""))


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    bool(os.environ.get("TRICORN_TEST_SANITIZED")),
    reason="a sanitizer keeps what was freed, and Python's blocks go by",
)
@pytest.mark.usefixtures("short")
def test_an_application_that_leaks_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty bytes that stay of each page are found, once there were more pages than blocks may come and go."""

    def pages(server: Soaked, rnd: object) -> int:
        with server.connect() as client:
            for n in range(100):
                assert client.ask("GET", f"/page?n={n}").status == 200
        return 100

    for scenes in ("SCENES", "HTTP2_SCENES", "WEBSOCKET_SCENES"):
        monkeypatch.setattr(soak_course, scenes, (pages,))
    for seconds in (9.0, 25.0, 70.0):  # a busy machine takes longer for so many
        folder = tmp_path / f"{seconds}"
        found = Course("asyncio", "plain", seconds, folder, 0.4, {"SOAK_LEAK": "7"}).run()
        if count_of(found) > 2 * soak_verdict.BLOCKS:
            break
    assert "Python's blocks at the rests" in failed(found), found

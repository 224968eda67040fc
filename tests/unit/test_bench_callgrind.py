"""Counting instructions, and the gate on them: reading callgrind's counts, what is too many, which record counts."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from bench import callgrind, gate
from bench.environments import Unusable
from bench.gate import Record

LOG = "==12== Events    : Ir\n==12== Collected : 1234567890\n==12== \n"
HERE = {"python": "3.11.2", "trio": "1"}


def test_count_is_read_from_the_log() -> None:
    assert callgrind.parse_collected("INFO: started\n" + LOG) == 1234567890


@pytest.mark.parametrize("log", ["", "killed", LOG + LOG])
def test_a_log_without_one_count_is_refused(log: str) -> None:
    with pytest.raises(Unusable):
        callgrind.parse_collected(log)


def test_total_is_read_from_a_dump() -> None:
    assert callgrind.parse_total("summary: 7\n\nfn=(1) totals: 5\ntotals: 42\n") == 42


@pytest.mark.parametrize("dump", ["", "summary: 7\n"])
def test_a_dump_without_a_total_is_refused(dump: str) -> None:
    with pytest.raises(Unusable):
        callgrind.parse_total(dump)


def test_start_and_stop_cancel_out() -> None:
    start, each = 5_000_000, 1234
    assert callgrind.per_request((160, start + each * 160), (2240, start + each * 2240)) == each


def test_counts_are_multiples_of_the_batches() -> None:
    numbers = (gate.WARM, gate.FEW, gate.MANY)
    assert all(number % depth == 0 for number in numbers for depth in gate.SHAPES.values())


def test_phases_are_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {(1, 13): 1000, (16, 13): 100, (1, 64): 500, (1, gate.MESSAGE_MOST): 70_000}

    def count(subject: object, phases: list[tuple[gate.Workload, int]]) -> list[int]:
        return [
            77 + (costs[workload.depth, len(workload.body)] + 7 * workload.http2) * requests
            for workload, requests in phases
        ]

    monkeypatch.setattr(gate, "count_phases", count)
    assert gate.count_library("trio") == {
        "trio one": 1000,
        "trio batch": 100,
        "trio http2 one": 1007,
        "trio http2 batch": 107,
        "trio echo 64 B": 500,
        "trio echo 64 KiB": 70_000,
    }


@pytest.mark.parametrize(
    ("now", "before", "failed", "mark"),
    [
        (103, 100, False, "ok"),
        (103.1, 100, True, "**too many**"),
        (50, 100, False, "ok"),
        (100, None, False, "not recorded"),
    ],
)
def test_more_than_the_tolerance_fails(now: float, before: float | None, failed: bool, mark: str) -> None:
    change = gate.Change("trio one", now, before)
    assert (change.failed, change.mark) == (failed, mark)


@pytest.mark.parametrize(("now", "failed"), [(109, False), (111, True)])
def test_a_large_message_may_vary_more(now: float, failed: bool) -> None:
    assert gate.Change("trio echo 64 KiB", now, 100).failed is failed
    assert gate.Change("trio echo 64 B", now, 100).failed


def test_table_shows_the_change() -> None:
    changes = gate.compare(
        {"trio one": 1050, "curio one": 900, "new": 7}, {"trio one": 1000, "curio one": 1000}
    )
    lines = gate.table(changes).splitlines()[2:]
    assert lines == [
        "| trio one | 1,050 | 1,000 | +5.0% | **too many** |",
        "| curio one | 900 | 1,000 | -10.0% | ok |",
        "| new | 7 |  |  | not recorded |",
    ]


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    assert gate.read_records(tmp_path / "none.json") == []


def test_a_record_counts_for_its_own_versions_only() -> None:
    records = [Record({**HERE, "python": "3.11.9"}, {"trio one": 5}), Record(HERE, {"trio one": 7})]
    assert gate.recorded(records, HERE).instructions == {"trio one": 7}
    assert gate.recorded(records[:1], HERE).instructions == {}


def test_recording_keeps_other_versions_and_other_libraries(tmp_path: Path) -> None:
    path, other = tmp_path / "instructions.json", {**HERE, "python": "3.11.9"}
    gate.write_record(path, other, {"trio one": 5})
    gate.write_record(path, HERE, {"trio one": 7, "curio one": 9})
    gate.write_record(path, HERE, {"trio one": 8.4})
    records = gate.read_records(path)
    assert gate.recorded(records, other).instructions == {"trio one": 5}
    assert gate.recorded(records, HERE).instructions == {"trio one": 8, "curio one": 9}


def test_differences_name_what_differs() -> None:
    records = [Record({"python": "3.11.9", "gcc": "12"}, {})]
    said = gate.differences(records, {"python": "3.11.2", "gcc": "12", "trio": "1"})
    assert said == "python 3.11.9 (here 3.11.2), trio none (here 1)"


def gate_run(
    monkeypatch: pytest.MonkeyPatch, path: Path, counts: dict[str, float], here: dict[str, str], *words: str
) -> int:
    monkeypatch.setattr(gate, "COMMITTED", path)
    monkeypatch.setattr(gate, "require_valgrind", lambda: None)
    monkeypatch.setattr(gate, "versions", lambda: here)
    monkeypatch.setattr(gate, "count_all", lambda libraries: counts)
    return gate.run(list(words))


def test_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "instructions.json"
    assert gate_run(monkeypatch, path, {"trio one": 100}, HERE, "--update") == 0
    assert gate_run(monkeypatch, path, {"trio one": 102}, HERE) == 0
    assert gate_run(monkeypatch, path, {"trio one": 104}, HERE) == 1
    capsys.readouterr()
    assert gate_run(monkeypatch, path, {"trio one": 999}, {**HERE, "trio": "2"}) == 0
    assert "compared with nothing" in capsys.readouterr().out


def test_the_committed_records_name_every_library_and_shape() -> None:
    names = {
        f"{library} {shape}"
        for library in gate.LIBRARIES
        for shape in (*gate.SHAPES, *gate.STREAMS, *gate.ECHOES)
    }
    encrypted = {f"{library} tls {shape}" for library in gate.OVER_TLS for shape in gate.SHAPES}
    batches = {name for name in encrypted if name.endswith("batch")}  # which repeat on any machine
    records = gate.read_records(gate.COMMITTED)
    assert records
    assert all(names | batches <= set(record.instructions) <= names | encrypted for record in records)


@pytest.mark.parametrize("tls", [False, True])
def test_marks_are_asked_for_as_the_server_speaks(tls: bool) -> None:
    connection = callgrind.connection(1, tls=tls)
    assert isinstance(connection, http.client.HTTPSConnection) == tls


def test_a_missing_valgrind_has_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable, match="apt-get install valgrind"):
        callgrind.require_valgrind()

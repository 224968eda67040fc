"""Fuzzing by CPU time: shares, a fuzzer's log, the ledger, what is kept, and that a finding fails the part."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from proof import fuzz, fuzzing
from proof.fuzzing import Entry, Run
from proof.table import Settings

LOG = """INFO: seed corpus: files: 65
#66\tINITED cov: 1531 ft: 3900 corp: 60/3Kb exec/s: 0 rss: 60Mb
#94597\tREDUCE cov: 1675 ft: 6141 corp: 338/28Kb lim: 241 exec/s: 5129 rss: 423Mb L: 119/241 MS: 1 CopyPart-
stat::number_of_executed_units: 94597
stat::average_exec_per_sec:     5129
"""

FUZZER = """#!/bin/sh
for word in "$@"; do case $word in -artifact_prefix=*) prefix=${word#*=} ;; esac; done
trap 'printf "%s" "$LOG"; exit 0' USR1
@BODY@
"""


def fuzzer(place: Path, name: str, body: str) -> None:
    """Put a program into the place of a fuzzer."""
    path = place / "fuzz" / f"fuzz_{name}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(FUZZER.replace("@BODY@", body))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build of the test's own."""
    monkeypatch.setattr(fuzzing, "BUILD", tmp_path)
    monkeypatch.setattr(fuzzing, "WORK", tmp_path / "work")
    monkeypatch.setattr(fuzzing, "CORPUS", tmp_path / "corpus")
    monkeypatch.setenv("LOG", LOG)
    return tmp_path


def test_those_that_can_do_most_have_more_time() -> None:
    given = fuzzing.shares(["head", "http2", "target"], 60)
    assert given == {"head": 10, "http2": 40, "target": 10}


def test_a_log_tells_inputs_and_edges() -> None:
    assert fuzzing.read_log(LOG) == (94597, 1675)
    assert fuzzing.read_log("==1== ERROR") == (0, 0)


def test_each_has_its_words() -> None:
    for name in ("head", "ws_frames", "proxy_protocol"):
        assert fuzzing.dictionary(name).exists()
    assert len({fuzzing.dictionary(name) for name in ("head", "ws_frames", "proxy_protocol")}) == 3


def test_a_fuzzer_is_stopped_when_it_has_had_its_time(place: Path) -> None:
    fuzzer(place, "head", "while :; do :; done")
    run = fuzzing.fuzz("head", 0.3)
    assert (run.inputs, run.edges, run.found) == (94597, 1675, ())
    assert run.cpu >= 0.2


def test_a_finding_is_told(place: Path) -> None:
    fuzzer(place, "head", 'echo x > "${prefix}crash-abc"; exit 77')
    assert fuzzing.fuzz("head", 5).found == ("head-crash-abc",)
    assert fuzzing.fuzz("head", 5).found == ("code 77, see head.log",), "what was there before is not new"


def test_the_part_fails_with_a_finding_and_without_fuzzers(place: Path) -> None:
    (line,) = fuzz.lines(Settings(out=place))
    assert not line.held
    fuzzer(place, "head", 'printf "%s" "$LOG"')
    fuzzer(place, "target", 'echo x > "${prefix}crash-abc"; printf "%s" "$LOG"; exit 77')
    head, target = fuzz.lines(Settings(minutes=0.1, out=place))
    assert head.held and "94,597 inputs" in head.figure
    assert not target.held and "target-crash-abc" in target.figure
    fuzzer(place, "target", "exit 0")
    assert [line.held for line in fuzz.lines(Settings(minutes=0.1, out=place))] == [True, False], (
        "it did nothing"
    )


def test_the_ledger_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "ledger.md"
    fuzzing.record([Run("head", 1800.2, 5_000, 100), Run("answer", 10, 7, 5, ("answer-crash-1",))], path)
    fuzzing.record([Run("head", 1800, 2_000, 90)], path)
    text = path.read_text()
    assert "In all: 1.00 hours of CPU time, 7,007 inputs." in text
    assert "| head | 3,600 | 7,000 | 100 |  |" in text
    entries = fuzzing.read_ledger(text)
    assert [entry.run.target for entry in entries] == ["head", "answer", "head"]
    assert entries[1].run == Run("answer", 10, 7, 5, ("answer-crash-1",))
    assert fuzzing.ledger(entries) == text


def test_an_entry_has_its_date() -> None:
    (entry,) = fuzzing.read_ledger(fuzzing.ledger([Entry("2030-01-02 03:04 UTC", Run("head", 1, 2, 3))]))
    assert entry == Entry("2030-01-02 03:04 UTC", Run("head", 1, 2, 3))


def test_a_corpus_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "MOST_KEPT", 100)
    corpus, learned = tmp_path / "corpus", tmp_path / "learned"
    corpus.mkdir()
    learned.mkdir()
    (corpus / "seed").write_bytes(b"s" * 40)
    for name, data in {"a": b"s" * 40, "b": b"b" * 50, "c": b"c" * 20, "d": b"d" * 5}.items():
        (learned / name).write_bytes(data)
    fuzzing.keep(sorted(learned.iterdir()), corpus)
    assert sorted(path.name for path in corpus.iterdir()) == ["b", "d", "seed"]


def test_a_merge_takes_what_is_new(place: Path) -> None:
    (place / "corpus" / "head").mkdir(parents=True)
    (place / "corpus" / "head" / "seed").write_bytes(b"seed")
    into = 'for word in "$@"; do case $word in /*) [ -n "$into" ] || into=$word ;; esac; done\n'
    fuzzer(place, "head", f"{into}printf new > $into/1; printf seed > $into/2")
    assert fuzzing.merge("head") == (2, 7)

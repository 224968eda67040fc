"""The benchmark's tables of workloads and servers agree with each other and with the applications."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bench import apps, facts, main, measure, report
from bench.environments import ROOT, Environment, Unusable, same_interpreter
from bench.kinds import KINDS
from bench.servers import SERVERS, SYSTEM, Server, Spoken
from bench.workloads import FRAMEWORKS, MAIN_ROWS, RICH, WORKLOADS, Workload, with_chunks, with_fields


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.row)
class TestWorkload:
    def test_servers_are_known(self, workload: Workload) -> None:
        assert set(workload.servers) <= set(SERVERS)

    def test_targets_are_of_measured_servers(self, workload: Workload) -> None:
        named = {name for target in workload.targets for name in (target.server, target.rival) if name}
        assert named <= set(workload.servers)
        assert all(target.server.startswith(("tricorn", "limit")) for target in workload.targets)

    def test_request_is_one_head(self, workload: Workload) -> None:
        for sized in (workload, *(point.of(workload) for point in workload.points)):
            head, end, body = sized.request.partition(b"\r\n\r\n")
            assert end
            assert b"\r\nHost: " in head
            assert all(b": " in line for line in head.split(b"\r\n")[1:])
            assert bool(body or sized.upload) == head.startswith(b"POST ")
            assert not sized.upload or b"\r\nContent-Length: %d" % sized.upload in head

    def test_kind_is_known_and_measured(self, workload: Workload) -> None:
        assert workload.kind in KINDS
        assert workload.kind in main.METERS
        assert bool(workload.points) == (KINDS[workload.kind].main == "growth")


def test_rows_are_unique() -> None:
    assert len({workload.row for workload in WORKLOADS}) == len(WORKLOADS)


def test_header_counts_are_those_of_the_titles() -> None:
    by_row = {workload.row: workload.request for workload in WORKLOADS}
    assert by_row["1"].count(b"\r\n") - 2 == 10
    assert by_row["1b"].count(b"\r\n") - 2 == 22
    [cookie] = [line for line in RICH.split(b"\r\n") if line.startswith(b"Cookie: ")]
    assert len(cookie.removeprefix(b"Cookie: ")) == 300


@pytest.mark.parametrize("server", SERVERS.values(), ids=lambda server: server.name)
def test_command_names_application_and_port(server: Server) -> None:
    words = server.arguments(
        Path("/programs"), "bench.apps:hello", 4321, Spoken(tls=Path("/keys"), http2=True, pair=True)
    )
    assert any(word.startswith("/programs") for word in words)
    assert any("4321" in word for word in words)
    assert "{" not in "".join(words) or server.environment == SYSTEM
    assert not server.tls or {"/keys/certificate.pem", "/keys/key.pem"} <= set(words)


def run_app(
    app: apps.Application, scope: dict[str, Any], events: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    sent: list[Any] = []

    async def receive() -> apps.Message:
        return events.pop(0)

    async def send(message: apps.Message) -> None:
        sent.append(message)

    async def call() -> None:
        await app(scope, receive, send)

    asyncio.run(call())
    return sent


def test_sizes_of_a_growth_are_those_of_the_request() -> None:
    assert with_fields(100).count(b"\r\n") - 2 == 100
    assert with_chunks(1000).count(b"\r\n10\r\n") == 1000
    assert with_chunks(4, 4096).count(b"1000\r\n" + b"x" * 4096 + b"\r\n") == 4
    assert all(
        [point.size for point in workload.points] == sorted({point.size for point in workload.points})
        and all(point.few < point.many for point in workload.points)
        for workload in WORKLOADS
    )


@pytest.mark.parametrize("name", ["hello", "sleep0", "sink", "marked"])
def test_applications_answer_what_the_workloads_expect(name: str) -> None:
    scope = {"type": "http", "path": "/mark"}
    start, body = run_app(getattr(apps, name), scope, [{"type": "http.request"}])
    assert body["body"] == WORKLOADS[0].body
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


@pytest.mark.parametrize(("name", "row"), [("large", "9b"), ("download", "9a"), ("produce", "9c")])
def test_large_answers_have_the_length_that_they_announce(name: str, row: str) -> None:
    [workload] = [workload for workload in WORKLOADS if workload.row == row]
    start, *bodies = run_app(getattr(apps, name), {"type": "http"}, [])
    length = sum(len(message["body"]) for message in bodies)
    assert dict(start["headers"])[b"content-length"] == str(length).encode()
    assert length == workload.length or row != "9a"
    assert bodies[0]["body"] == workload.body or row == "9c"
    assert [message.get("more_body", False) for message in bodies] == [True] * (len(bodies) - 1) + [False]


def test_pieces_of_a_produced_answer_are_objects_of_their_own() -> None:
    _, one, two, *_ = run_app(apps.produce, {"type": "http"}, [])
    assert one["body"] == two["body"]
    assert one["body"] is not two["body"]


def test_the_echo_answers_every_piece() -> None:
    events = [
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
    ]
    start, body = run_app(apps.echo, {"type": "http"}, events)
    assert body["body"] == b"one two"
    assert dict(start["headers"])[b"content-length"] == b"7"


def test_the_tally_answers_how_much_has_come() -> None:
    events = [
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
    ]
    start, body = run_app(apps.tally, {"type": "http"}, events)
    assert body["body"] == b"0000000000007"
    assert dict(start["headers"])[b"content-length"] == b"13"


def test_a_worker_tells_its_process() -> None:
    start, body = run_app(apps.worker, {"type": "http"}, [])
    assert int(body["body"]) == os.getpid()
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


def test_every_row_that_is_wanted_is_there() -> None:
    assert {int(workload.row.rstrip("abcdefghi")) for workload in WORKLOADS} == set(range(1, 20))


def test_applications_take_part_in_the_lifespan() -> None:
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = run_app(apps.hello, {"type": "lifespan"}, events)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_server_is_told_its_library_and_nothing_of_ours(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRICORN_PORT", "1")
    environment = measure.clean_environment(library)
    assert environment["BENCH_LIBRARY"] == library
    assert "TRICORN_PORT" not in environment


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.row)
def test_applications_exist(workload: Workload) -> None:
    module, _, name = workload.app.partition(":")
    assert name in vars(importlib.import_module(f"bench.{module}"))


@pytest.mark.parametrize("package", FRAMEWORKS)
def test_frameworks_are_those_of_the_tests(package: str) -> None:
    assert package in (ROOT / "tools" / "requirements-test.txt").read_text().splitlines()


def test_rows_and_servers_are_chosen_by_name() -> None:
    workloads = main.choose_workloads("2,1")
    assert [workload.row for workload in workloads] == ["2", "1"]
    assert [workload.row for workload in main.choose_workloads("6,1b,1")] == ["6a", "6b", "1b", "1"]
    assert list(main.choose_servers(workloads, "uvicorn,tricorn-trio")) == ["tricorn-trio", "uvicorn"]


def test_unknown_rows_and_servers_are_refused() -> None:
    for row in ("99", "", "a"):
        with pytest.raises(Unusable, match=f"no such row: {row}"):
            main.choose_workloads("1," + row)
    with pytest.raises(Unusable, match="no such server: apache"):
        main.choose_servers(WORKLOADS, "apache")


def test_two_interpreters_are_not_compared() -> None:
    one, two, none = (Environment(Path(), python, {}) for python in ("3.11 a", "3.11 b", ""))
    assert same_interpreter({"x": one, "y": one, "z": none}) == "3.11 a"
    with pytest.raises(Unusable, match="different interpreters"):
        same_interpreter({"x": one, "y": two})


def test_a_quick_run_is_short_and_leaves_the_results_alone() -> None:
    quick, whole = main.arguments(["--quick"]), main.arguments([])
    assert (quick.rows, quick.rounds) == (",".join(MAIN_ROWS), 1)
    assert quick.out != whole.out == ROOT / "bench" / "results"
    assert (whole.rounds, len(whole.rows.split(","))) == (3, len(WORKLOADS))
    assert main.arguments(["--quick", "--rows", "1"]).rows == "1"


def test_the_commit_that_was_measured(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        git("add", "-A")

    git("init", "-q")
    write("src/a.c", "1")
    git("commit", "-q", "-m", "one")
    first = facts.commit(tmp_path)
    write("docs/a.md", "1")
    write("bench/results/latest.md", "1")
    assert facts.commit(tmp_path) == first
    git("commit", "-q", "-m", "two")
    assert facts.commit(tmp_path) == first
    write("src/a.c", "2")
    changed = facts.commit(tmp_path)
    assert changed.startswith(first + "+")
    write("src/a.c", "3")
    assert facts.commit(tmp_path) not in (first, changed)


def test_the_first_page_has_the_table_between_its_marks() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.into_readme(page, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    assert report.into_readme("no marks", "new") == "no marks"
    readme = (ROOT / "README.md").read_text()
    assert readme.count(report.BEGIN) == readme.count(report.END) == 1


def test_the_first_page_names_known_rows_and_servers() -> None:
    shown = [number for line in report.OVERVIEW for number in line]
    kinds = {workload.row: workload.kind for workload in WORKLOADS}
    assert {KINDS[kinds[number]].main for number in shown} == {"cpu"}
    assert set(report.SERVERS_SHOWN) <= set(SERVERS)

"""The benchmark's tables of workloads and servers agree with each other and with the applications."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bench import apps, main, measure
from bench.environments import Environment, Unusable, same_interpreter
from bench.servers import SERVERS, Server
from bench.workloads import RICH, WORKLOADS, Workload


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.row)
class TestWorkload:
    def test_servers_are_known(self, workload: Workload) -> None:
        assert set(workload.servers) <= set(SERVERS)

    def test_targets_are_of_measured_servers(self, workload: Workload) -> None:
        named = {name for target in workload.targets for name in (target.server, target.rival)}
        assert named <= set(workload.servers)
        assert all(target.server.startswith("tricorn") for target in workload.targets)

    def test_request_is_one_head(self, workload: Workload) -> None:
        head, end, _ = workload.request.partition(b"\r\n\r\n")
        assert end
        assert b"\r\nHost: " in head
        assert all(b": " in line for line in head.split(b"\r\n")[1:])


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
    words = server.arguments(Path("/programs"), "bench.apps:hello", 4321)
    assert words[0].startswith("/programs/")
    assert any("4321" in word for word in words)
    assert "{" not in "".join(words)


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


@pytest.mark.parametrize("name", ["hello", "sleep0"])
def test_applications_answer_what_the_workloads_expect(name: str) -> None:
    start, body = run_app(getattr(apps, name), {"type": "http"}, [])
    assert body["body"] == WORKLOADS[0].body
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


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
    assert workload.app in vars(apps)


def test_rows_and_servers_are_chosen_by_name() -> None:
    workloads = main.choose_workloads("2,1")
    assert [workload.row for workload in workloads] == ["2", "1"]
    assert list(main.choose_servers(workloads, "uvicorn,tricorn-trio")) == ["tricorn-trio", "uvicorn"]


def test_unknown_rows_and_servers_are_refused() -> None:
    with pytest.raises(Unusable, match="no such row: 99"):
        main.choose_workloads("1,99")
    with pytest.raises(Unusable, match="no such server: apache"):
        main.choose_servers(WORKLOADS, "apache")


def test_two_interpreters_are_not_compared() -> None:
    one, two, none = (Environment(Path(), python, {}) for python in ("3.11 a", "3.11 b", ""))
    assert same_interpreter({"x": one, "y": one, "z": none}) == "3.11 a"
    with pytest.raises(Unusable, match="different interpreters"):
        same_interpreter({"x": one, "y": two})

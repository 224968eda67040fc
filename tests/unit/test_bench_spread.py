"""Who has which connection, and how memory grows during an upload, of servers that run."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import threading
from collections import Counter
from dataclasses import replace

import pytest
from bench import memory, spread
from bench.environments import ROOT, Environment, load_generator
from bench.measure import Subject, WrongAnswer
from bench.servers import SERVERS
from bench.workloads import STREAMED, UPLOAD, WORKLOADS

OWN = Environment(ROOT / ".venv" / "bin", "", {})
BY_ROW = {workload.row: workload for workload in WORKLOADS}

two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="servers and load have a core each")


def test_the_share_is_that_of_the_busier_worker() -> None:
    assert spread.share(Counter({11: 55, 12: 45})) == {"share": 0.55, "workers": 2}
    assert spread.share(Counter({11: 7})) == {"share": 1, "workers": 1}


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", b"HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n1"],
)
def test_what_is_no_number_of_a_process_is_a_wrong_answer(answer: bytes) -> None:
    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        client = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=10)
        with pytest.raises(WrongAnswer, match="not a process's number"):
            spread.ask(client)
        client.close()
        thread.join()


@two_cores
def test_two_workers_have_all_connections_between_them() -> None:
    workload = replace(BY_ROW["19"], row="19-test", connections=20)
    found = spread.measure_spread(Subject(workload, SERVERS["tricorn-asyncio"], OWN), 0)
    assert 0.5 <= found["share"] <= 1
    assert found["workers"] in (1, 2)


@two_cores
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_an_upload_is_weighed_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WARM_REQUESTS", 64)
    monkeypatch.setattr(memory, "SETTLE", 0.1)
    size = 4 << 20
    workload = replace(
        BY_ROW["8"],
        row="8-test",
        upload=size,
        body=b"%013d" % size,
        request=STREAMED.replace(b"%d" % UPLOAD, b"%d" % size),
    )
    found = memory.measure_upload(Subject(workload, SERVERS["tricorn-asyncio"], OWN), 0.1)
    assert found["cpu"] > 0
    assert found["rate"] > 0
    assert found["grown"] < 64 << 20


@two_cores
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_a_load_that_fails_while_memory_is_read_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    load = [
        str(load_generator()),
        "--port",
        str(port),
        "--request",
        __file__,
        "--body",
        __file__,
        "--requests",
        "1",
    ]
    with pytest.raises(WrongAnswer, match="connect"):
        memory.heaviest(os.getpid(), load)

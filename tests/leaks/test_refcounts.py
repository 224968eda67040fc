"""A Python that counts every reference finds as many after a round of requests as before it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from harness import TIMEOUT, Closed, Server

ROOT = Path(__file__).parent.parent.parent
DEBUG = f"python{sys.version_info[0]}.{sys.version_info[1]}-dbg"
# Compiled without counting, uvloop's own references are not in the total.
LIBRARIES = ("asyncio", "trio", "curio")
WARM, ROUNDS, TIMES = 2, 4, 5

TARGETS = (
    "/plain",
    "/stream",
    "/fail",
    "/fail?&later",
    "/fail?&begun",
    "/fail?&later&begun",
    "/nothing",
    "/wrong",
    "/dropped",
    "/no-such-page",
    "/plain?only-await",
    "/stream?only-await",
    "/fail?of-generator&later",
    "/stream?of-generator",
    "/plain?plain-generator",
    "/plain?no-iterator",
    "/plain?number",
    "/%e2%82%ac/%ff?%00",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package and an extension for the debug Python."""
    if shutil.which(DEBUG) is None:
        pytest.skip(f"{DEBUG} is not installed")
    ask = "import sysconfig as s; print(s.get_path('include'), s.get_config_var('EXT_SUFFIX'))"
    include, suffix = subprocess.check_output([DEBUG, "-c", ask], text=True).split()
    if not (Path(include) / "Python.h").exists():
        pytest.skip(f"{DEBUG} has no headers")
    place = tmp_path_factory.mktemp("debug")
    shutil.copytree(ROOT / "python" / "tricorn", place / "tricorn")
    flags = ["-std=gnu11", "-O1", "-fPIC", "-shared", "-D_GNU_SOURCE=1", f"-I{ROOT / 'src'}", f"-I{include}"]
    target = place / "tricorn" / f"_core{suffix}"
    subprocess.run(["cc", *flags, *sorted(map(str, ROOT.glob("src/*/*.c"))), "-o", target], check=True)
    return place


@pytest.fixture(params=LIBRARIES)
def server(
    request: pytest.FixtureRequest, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server under the debug Python."""
    monkeypatch.setattr(sys, "executable", shutil.which(DEBUG))
    path = os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    server = Server("counted:app", request.param, tmp_path, environment={"PYTHONPATH": path})
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill()


def visit(server: Server, target: str) -> None:
    """Ask, and read what comes."""
    try:
        server.ask("GET", target)
    except Closed:
        return


def leave(server: Server, target: str) -> None:
    """Ask, and go without reading the answer."""
    with server.connect() as client:
        client.request("GET", target)
        client.quiet(0.01)


def total(server: Server) -> int:
    """Return how many references there are once every exchange has ended."""
    return int(server.get("/total"))


def one_round(server: Server) -> int:
    """Go through everything; return how many references there are then."""
    for _ in range(TIMES):
        for target in TARGETS:
            visit(server, target)
        server.ask("POST", "/echo", b"b" * 50_000)
        for target in ("/wait", "/stream", "/echo"):
            leave(server, target)
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\n\0\r\n\r\n")
            assert client.answer().status == 400
    with server.connect() as client:  # the ends of those who left are seen before this
        client.ask("GET", "/plain")
        assert client.quiet(0.1)
    return total(server)


@pytest.mark.slow
def test_references_stay(server: Server) -> None:
    """A reference that were lost with each request of one kind would be missed in every round."""
    for _ in range(WARM):
        one_round(server)
    counts = [one_round(server) for _ in range(ROUNDS)]
    grown = [after - before for before, after in pairwise(counts)]
    assert min(grown) < TIMES, f"references were left behind: {grown}"
    assert server.stop(seconds=2 * TIMEOUT) == 0, server.log()

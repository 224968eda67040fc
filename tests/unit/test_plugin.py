"""The fixture ``tricorn_server``, in test runs of its own under the plugins that people use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

APP = '''
import sys, threading, urllib.request
import anyio.to_thread, sniffio

events = []
threads = set()

async def app(scope, receive, send):
    """Answer with the library; note the lifespan."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            events.append(event)
            await send({"type": f"lifespan.{event}.complete"})
        return
    threads.add(threading.current_thread().name)
    library = sniffio.current_async_library() if "curio" not in sys.modules else "curio"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": library.encode()})

async def broken(scope, receive, send):
    await send({"type": "lifespan.startup.failed", "message": "no"})

def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()

async def fetch_in_thread(url):
    return await anyio.to_thread.run_sync(fetch, url)
'''

TESTS = {
    "synchronous": """
def test(tricorn_server):
    server = tricorn_server(app)
    assert fetch(server.url) == "asyncio"
    assert server.counters()["exchanges"] == 1
    assert threads == {"tricorn"} and events == ["startup"]

@pytest.mark.parametrize("library", ["asyncio", "uvloop", "trio"])
def test_library(tricorn_server, library):
    first, second = tricorn_server(app, async_library=library), tricorn_server(app, port=0)
    assert fetch(first.url) == ("trio" if library == "trio" else "asyncio")
    assert first.port != second.port
""",
    "curio": """
import curio

def test(tricorn_server):
    async def main():
        server = await tricorn_server(app)
        return await curio.run_in_thread(fetch, server.url)
    assert curio.run(main) == "curio"
    assert fetch(tricorn_server(app, async_library="curio").url) == "curio"
""",
    "anyio": """
pytestmark = pytest.mark.anyio

async def test(tricorn_server, anyio_backend_name):
    with anyio.fail_after(10):
        server = await tricorn_server(app)
    assert await fetch_in_thread(server.url) == anyio_backend_name
    assert threads == {"MainThread"} and events == ["startup"]

async def test_thread(tricorn_server):
    async def main():
        return await fetch_in_thread((await tricorn_server(app)).url)
    for backend in ("asyncio", "trio"):
        assert await anyio.to_thread.run_sync(lambda: anyio.run(main, backend=backend)) == backend
    assert threads == {"tricorn"}

@hypothesis.settings(max_examples=3, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(hypothesis.strategies.just(1))
async def test_property(tricorn_server, anyio_backend_name, one):
    assert await fetch_in_thread((await tricorn_server(app)).url) == anyio_backend_name
    assert threads == {"tricorn"}

class TestMethods:
    async def test(self, tricorn_server):
        async with anyio.create_task_group():
            servers = [await tricorn_server(app) for _ in range(3)]
        assert len({await fetch_in_thread(server.url) for server in servers}) == 1

@pytest.fixture
async def server(tricorn_server):
    return await tricorn_server(app)

async def test_fixture(server, anyio_backend_name):
    assert await fetch_in_thread(server.url) == anyio_backend_name
""",
    "pytest-asyncio": """
import pytest_asyncio

@pytest.mark.asyncio
async def test(tricorn_server):
    server = await tricorn_server(app)
    assert await fetch_in_thread(server.url) == "asyncio"
    assert threads == {"MainThread"} and events == ["startup"]

class TestMethods:
    @pytest.mark.asyncio(loop_scope="class")
    async def test(self, tricorn_server):
        assert await fetch_in_thread((await tricorn_server(app)).url) == "asyncio"

@pytest_asyncio.fixture
async def server(tricorn_server):
    return await tricorn_server(app)

@pytest.mark.asyncio
async def test_fixture(server):
    assert await fetch_in_thread(server.url) == "asyncio"
""",
    "pytest-trio": """
import trio

@pytest.mark.trio
async def test(tricorn_server):
    with trio.fail_after(10):
        server = await tricorn_server(app)
    assert await fetch_in_thread(server.url) == "trio"
    assert threads == {"MainThread"} and events == ["startup"]

@pytest.fixture
async def server(tricorn_server):
    return await tricorn_server(app)

@pytest.mark.trio
async def test_fixture(server):
    assert await fetch_in_thread(server.url) == "trio"
""",
}
"""Test files by the plugin that they run under; each ends with what it leaves behind."""

AFTERWARDS = """
@pytest.fixture(autouse=True)
def clean():
    events.clear()
    threads.clear()
    yield
    # The last of all fixtures to be torn down, as it was the first.
    assert sorted(events) == ["shutdown"] * (len(events) // 2) + ["startup"] * (len(events) // 2)
    assert events
    assert "tricorn" not in {thread.name for thread in threading.enumerate()}
"""


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """Run tests in a process of their own, where each plugin is loaded as users have it."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings =\n    error\n")
    pytester.makepyfile(
        "import anyio, hypothesis, pytest, threading\nfrom served import *\n" + tests, served=APP
    )
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=60)


@pytest.mark.parametrize("name", TESTS)
def test_serves_for_tests(pytester: pytest.Pytester, name: str) -> None:
    """Under each plugin, on its library; the application is shut down, and no thread stays."""
    run(pytester, AFTERWARDS + TESTS[name]).assert_outcomes(
        passed={"synchronous": 4, "curio": 1, "anyio": 10, "pytest-asyncio": 3, "pytest-trio": 2}[name]
    )


MARKS = {"anyio": "anyio", "pytest-asyncio": "asyncio", "pytest-trio": "trio"}

ENDS = """
@pytest.mark.{mark}
async def test_fails(tricorn_server):
    await tricorn_server(app)
    raise LookupError("of the test")

@pytest.mark.{mark}
async def test_skips(tricorn_server):
    await tricorn_server(app)
    pytest.skip("for a reason")

@pytest.mark.{mark}
async def test_does_not_await(tricorn_server):
    server = tricorn_server(app)
    with pytest.raises(Exception, match="write 'await tricorn_server"):
        server.url
    with pytest.raises(AttributeError):
        server.nothing

@pytest.mark.{mark}
async def test_does_not_start(tricorn_server):
    with pytest.raises(Exception, match="did not start"):
        await tricorn_server(broken)

@pytest.mark.{mark}
async def test_stops_itself(tricorn_server):
    server = await tricorn_server(app)
    assert await server is server
    server.stop()
"""


@pytest.mark.parametrize("name", MARKS)
def test_ends_of_tests_come_out_as_they_are(pytester: pytest.Pytester, name: str) -> None:
    """Failures and skips are not wrapped, and a server that did not start is an error in the test."""
    fixture = "" if name != "anyio" else "@pytest.fixture\ndef anyio_backend():\n    return 'trio'\n"
    result = run(pytester, fixture + ENDS.format(mark=MARKS[name]))
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*LookupError: of the test"])
    groups = result.stdout.str().count("ExceptionGroup:")
    assert groups == (name == "pytest-trio")  # which puts what a test raises into one by itself


def test_the_plugin_is_registered_and_shown(pytester: pytest.Pytester) -> None:
    """With what it is for."""
    result = pytester.runpytest_subprocess("--fixtures", timeout=60)
    result.stdout.fnmatch_lines(["tricorn_server*", "*Serve applications until the test ends*"])


def test_a_run_that_does_not_ask_for_it_does_not_pay(tmp_path: Path) -> None:
    """Of the package, only the plugin's own file is imported."""
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test():\n"
        "    ours = {name for name in sys.modules if name.startswith('tricorn')}\n"
        "    assert ours == {'tricorn', 'tricorn._version', 'tricorn.pytest_plugin'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout

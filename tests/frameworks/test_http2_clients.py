"""Clients of HTTP/2 that others have written: curl, httpx, Go's, nghttp and h2load."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from go_client import GoClient
from serving import APPS, STACKS, TIMEOUT, Identity, Site

from tricorn import versions

pytestmark = pytest.mark.skipif(
    not (versions.has_tls() and versions.has_http2()), reason="TLS or HTTP/2 is not built in"
)
nghttp2_client = pytest.mark.skipif(
    shutil.which("nghttp") is None or shutil.which("h2load") is None,
    reason="nghttp and h2load are not installed (Debian: apt-get install nghttp2-client)",
)

PAGE = "/page"
PIECES = "/stream-out?count=20&size=5000"
PIECES_SIZE = 100_000
UPLOAD = 300_001


@pytest.fixture(scope="module", params=STACKS["bare"])
def site(
    request: pytest.FixtureRequest, identity: Identity, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The bare application on one library."""
    directory = tmp_path_factory.mktemp(f"http2-{request.param}")
    with Site("bare_app:app", request.param, APPS, directory, identity=identity, http2=True) as site:
        yield site


@pytest.fixture(scope="module")
def clear(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same without TLS, for clients that know beforehand that it speaks HTTP/2."""
    directory = tmp_path_factory.mktemp(f"clear-{site.library}")
    with Site("bare_app:app", site.library, APPS, directory, "--http2", http2=True) as site:
        yield site


@pytest.fixture(params=["tls", "clear"])
def either(request: pytest.FixtureRequest, site: Site) -> Site:
    """The application over TLS, and in clear text."""
    return site if request.param == "tls" else request.getfixturevalue("clear")


@pytest.fixture
def go(go_program: Any) -> GoClient:
    """Go's client."""
    return GoClient(go_program)


def run(*command: str) -> str:
    """Run a command that must end well, and return what it says."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def good(report: dict[str, Any], requests: int) -> None:
    """Fail unless each of so many requests was answered well, over one connection of HTTP/2."""
    assert (report["failed"], report["errors"]) == (0, None), report
    assert report["protocols"] == {"HTTP/2.0": requests}
    assert report["connections"] == 1


# --- curl and httpx


@pytest.mark.parametrize(
    ("option", "version"), [("--http1.1", "1.1"), ("--http2", "2"), ("--http1.0", "1.1")]
)
def test_curl_gets_the_version_that_it_asks_for(site: Site, option: str, version: str) -> None:
    shown = run(*site.curl(option, "-o", "/dev/null", "-w", "%{http_version} %{http_code}", site.url + PAGE))
    assert shown == f"{version} 200"


def test_curl_changes_over_in_no_clear_text(clear: Site) -> None:
    """``Upgrade: h2c`` has gone from the standard (RFC 9113 section 3.1): such a request is answered as it stands."""
    shown = run(
        *clear.curl("--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", clear.url + PAGE)
    )
    assert shown == "1.1 200"


def test_curl_at_once(site: Site) -> None:
    """Fifty requests on one connection; in clear text, curl 7.88 cannot send a second one there, to any server."""
    out = ["-o", "/dev/null", "-w", "%{http_version} %{http_code} %{num_connects} %{size_download}\n"]
    lines = run(*site.curl("--parallel", *out, f"{site.url}{PIECES}&n=[1-50]")).split("\n")[:-1]
    assert sorted(lines) == [f"2 200 0 {PIECES_SIZE}"] * 49 + [f"2 200 1 {PIECES_SIZE}"]


def test_curl_that_knows_beforehand(clear: Site) -> None:
    shown = run(*clear.curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", clear.url + PIECES))
    assert shown == "2 200"


def test_httpx_at_once(either: Site) -> None:
    """A hundred requests of several sizes, sent at once by one client."""
    sizes = [1, 1000, 70_000] * 33 + [5]

    async def get() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=1)
        trust = either.trust() or True
        async with httpx.AsyncClient(
            base_url=either.url,
            http1=False,
            http2=True,
            verify=trust,
            limits=limits,
            trust_env=False,
            timeout=TIMEOUT,
        ) as client:
            return await asyncio.gather(*(client.get(f"/stream-out?count=3&size={size}") for size in sizes))

    for answer, size in zip(asyncio.run(get()), sizes, strict=True):
        assert (answer.http_version, answer.status_code, len(answer.content)) == ("HTTP/2", 200, 3 * size)


# --- Go


def test_go_at_once(site: Site, go: GoClient) -> None:
    """A hundred requests share a connection."""
    report = go.run(site, "parallel", PIECES, 99)
    good(report, 100)
    assert report["sizes"] == {str(PIECES_SIZE): 100}


def test_go_uploads(site: Site, go: GoClient) -> None:
    """A body of unknown length, in pieces, with a trailer section that is no matter."""
    report = go.run(site, "upload", "/stream-in", UPLOAD)
    good(report, 1)
    assert f'"size": {UPLOAD}' in report["body"]
    assert report["sha256"] in report["body"]


def test_go_leaves(site: Site, go: GoClient) -> None:
    token = site.token()
    report = go.run(site, "leave", f"/ticker?token={token}")
    good(report, 1)
    assert report["body"] == "id: 0\n"
    site.until_noted(f"left {token}")


# --- nghttp and h2load


@nghttp2_client
def test_nghttp_gets_with_priorities(either: Site) -> None:
    """nghttp sends the priorities of RFC 7540, which are no more than passed over (RFC 9113 section 5.3.2)."""
    urls = [f"{either.url}{path}" for path in (PAGE, PIECES, "/nowhere")]
    shown = run("nghttp", "-nv", "--no-verify-peer", "--weight=256", *urls)
    assert len(re.findall(r"recv HEADERS frame", shown)) == 3
    assert sorted(re.findall(r":status: (\d+)", shown)) == ["200", "200", "404"]
    assert "PUSH_PROMISE" not in shown
    assert re.search(r"recv GOAWAY", shown) is None


@nghttp2_client
def test_nghttp_uploads(either: Site, five: Any) -> None:
    shown = run(
        "nghttp", "--no-verify-peer", "--no-content-length", f"--data={five}", f"{either.url}/stream-in"
    )
    assert '"size": 5000000' in shown


@nghttp2_client
@pytest.mark.parametrize("path", [PAGE, PIECES])
def test_h2load(either: Site, path: str) -> None:
    """Every one of many requests, 32 at a time on each of ten connections, is answered well."""
    count = 2000 if path == PAGE else 400
    report = run("h2load", "-n", str(count), "-c", "10", "-m", "32", either.url + path)
    assert f"requests: {count} total, {count} started, {count} done, {count} succeeded, 0 failed" in report, (
        report
    )
    assert f"status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx" in report, report


@nghttp2_client
def test_h2load_posts(either: Site, five: Any) -> None:
    """Bodies of 5 MB, eight at a time."""
    target = f"{either.url}/stream-in"
    report = run("h2load", "-n", "16", "-c", "2", "-m", "4", f"--data={five}", target)
    assert "status codes: 16 2xx, 0 3xx, 0 4xx, 0 5xx" in report, report


@pytest.fixture(scope="session")
def five(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A file of 5 MB."""
    path = tmp_path_factory.mktemp("upload") / "five.bin"
    path.write_bytes(bytes(range(250)) * 20_000)
    return path


def test_the_end_is_clean(site: Site, clear: Site) -> None:
    """Stands last."""
    for each in (site, clear):
        assert each.stop() == 0, each.log()[-5000:]
        assert each.tracebacks() == [], each.log()

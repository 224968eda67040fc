"""A browser over TLS, by HTTP/1.1 and by HTTP/2: pages, bodies both ways, events and WebSockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_browser
from browser import Browser
from serving import APPS, STACKS, Identity, Site
from test_frameworks import EVENTS, sha256
from test_websockets import address

from tricorn import versions

pytestmark = [
    test_browser.pytestmark,
    pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in"),
]
PROTOCOLS = {"http1": "http/1.1", "http2": "h2"}
"""What a page calls the versions."""
DRAINED = 15.0
"""Seconds until a browser has closed a connection whose answer the page has left: Chromium may read on for five."""

FETCHES = """
async shapes => {
    const fetched = shapes.map(async ([count, size]) => {
        const answer = await fetch(`/stream-out?count=${count}&size=${size}`);
        return (await answer.arrayBuffer()).byteLength;
    });
    const sizes = await Promise.all(fetched);
    const used = performance.getEntriesByType("resource").map(entry => entry.nextHopProtocol);
    return {sizes, used: [...new Set(used)]};
}
"""

UPLOAD = """
async size => {
    const bytes = Uint8Array.from({length: size}, (_, index) => index % 251);
    const form = new FormData();
    form.append("note", "five");
    form.append("file", new Blob([bytes]), "five.bin");
    return await (await fetch("/upload", {method: "POST", body: form})).json();
}
"""

STREAM = """
async (count, size) => {
    let index = 0;
    const body = new ReadableStream({
        async pull(controller) {
            if (index === count) return controller.close();
            await new Promise(resolve => setTimeout(resolve, 5));
            controller.enqueue(new Uint8Array(size).fill(index++));
        }
    });
    const answer = await fetch("/stream-in", {method: "POST", body, duplex: "half"});
    return await answer.json();
}
"""

EVENTS_ONE_BY_ONE = """
async (token, count) => {
    const source = new EventSource(`/events?token=${token}`);
    const found = [];
    const release = () => fetch(`/release?token=${token}`, {method: "POST"});
    source.onopen = release;
    await new Promise(resolve => {
        source.onmessage = event => {
            found.push([event.lastEventId, event.data]);
            found.length < count ? release() : resolve();
        };
    });
    source.close();
    return found;
}
"""

LEAVE_EVENTS = """
async token => {
    const source = new EventSource(`/ticker?token=${token}`);
    let number = 0;
    await new Promise(resolve => { source.onmessage = () => { if (++number === 3) resolve(); }; });
    source.close();
    return number;
}
"""

ABORT = """
async path => {
    const control = new AbortController();
    const answer = await fetch(path, {signal: control.signal});
    const reader = answer.body.getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    control.abort();
    let ended = "";
    await reader.read().catch(error => { ended = error.name; });
    return [first.slice(0, 6), ended];
}
"""

VERSION = """
async address => await new Promise(resolve => {
    const socket = new WebSocket(address);
    socket.onmessage = event => resolve(event.data);
    socket.onerror = () => resolve("an error");
})
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser"), "--ignore-certificate-errors") as browser:
        yield browser


def stacks() -> Iterator[Any]:
    """Yield libraries and versions."""
    for library in STACKS["bare"]:
        yield pytest.param((library, "http1"), id=f"{library}-http1")
        built = pytest.mark.skipif(not versions.has_http2(), reason="HTTP/2 is not built in")
        yield pytest.param((library, "http2"), id=f"{library}-http2", marks=built)


@pytest.fixture(scope="module", params=stacks())
def site(
    request: pytest.FixtureRequest,
    identity: Identity,
    tmp_path_factory: pytest.TempPathFactory,
    browser: Browser,
) -> Iterator[Site]:
    """The application on one library, over one version; the browser shows a page of it."""
    library, version = request.param
    directory: Path = tmp_path_factory.mktemp(f"browser-{library}-{version}")
    http2 = version == "http2"
    options = () if http2 else ("--no-http2",)
    with Site("browser_app:app", library, APPS, directory, *options, identity=identity, http2=http2) as site:
        browser.open(f"{site.url}/page")
        yield site


def protocol(site: Site) -> str:
    """Return what a page calls the version that the site speaks."""
    return PROTOCOLS["http2" if site.http2 else "http1"]


def test_page_comes_by_the_version_that_is_offered(browser: Browser, site: Site) -> None:
    used = browser.run(
        "async () => performance.getEntriesByType('navigation').map(entry => entry.nextHopProtocol)"
    )
    assert used == [protocol(site)]


def test_fetches_at_once(browser: Browser, site: Site) -> None:
    shapes = [(count, size) for count in (1, 10, 40) for size in (10, 20_000)] * 8
    found = browser.run(FETCHES, shapes)
    assert found["sizes"] == [count * size for count, size in shapes]
    assert found["used"] == [protocol(site)]


def test_upload_of_a_form(browser: Browser, site: Site) -> None:
    size = 2_000_000
    report = browser.run(UPLOAD, size)
    content = bytes(range(251)) * (size // 251 + 1)
    assert report == {"size": size, "sha256": sha256(content[:size]), "name": "five.bin", "note": "five"}


def test_upload_that_is_streamed(browser: Browser, site: Site) -> None:
    """Browsers do that over HTTP/2 alone."""
    if not site.http2:
        pytest.skip("a browser streams no request over HTTP/1.1")
    body = b"".join(bytes([index]) * 5000 for index in range(40))
    assert browser.run(STREAM, 40, 5000) == {"size": len(body), "sha256": sha256(body)}


def test_events_come_one_by_one(browser: Browser, site: Site) -> None:
    found = browser.run(EVENTS_ONE_BY_ONE, site.token(), EVENTS)
    assert found == [[str(number), f"event {number}"] for number in range(EVENTS)]


def test_events_that_are_left_are_noticed(browser: Browser, site: Site) -> None:
    token = site.token()
    assert browser.run(LEAVE_EVENTS, token) == 3
    site.until_noted(f"left {token}", DRAINED)


def test_fetch_that_is_aborted_is_noticed(browser: Browser, site: Site) -> None:
    token = site.token()
    assert browser.run(ABORT, f"/ticker?token={token}") == ["id: 0\n", "AbortError"]
    site.until_noted(f"left {token}", DRAINED)


def test_websocket_goes_by_the_version_of_the_page(browser: Browser, site: Site) -> None:
    """Over HTTP/2 it is a stream of the page's connection (RFC 8441)."""
    assert browser.run(VERSION, address(site, "/version")) == ("2" if site.http2 else "1.1")


# The scenarios of WebSockets without TLS; the last one stops the server.
globals().update({name: test for name, test in vars(test_browser).items() if name.startswith("test_")})

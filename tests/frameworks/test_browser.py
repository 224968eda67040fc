"""WebSockets of a browser. What the application's paths do is written in apps/ws_shared.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from browser import PROGRAM, Browser
from serving import Site, until
from test_websockets import APPS, address, notes

sys.path.append(str(APPS))

from ws_shared import CHAT, CLOSE, CODE, REASON

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)

TALK = """
async (address, subprotocols, messages, code, reason) => {
    const socket = new WebSocket(address, subprotocols);
    socket.binaryType = "arraybuffer";
    const found = {messages: [], error: false};
    socket.onerror = () => { found.error = true; };
    const ended = new Promise(resolve => {
        socket.onclose = event => {
            Object.assign(found, {code: event.code, reason: event.reason, clean: event.wasClean});
            resolve();
        };
    });
    const next = () => {
        if (!messages.length) return code === null || socket.close(code, reason);
        const message = messages.shift();
        socket.send(typeof message === "string" ? message : new Uint8Array(message));
    };
    socket.onopen = () => {
        Object.assign(found, {protocol: socket.protocol, extensions: socket.extensions});
        next();
    };
    socket.onmessage = event => {
        found.messages.push(typeof event.data === "string" ? event.data : [...new Uint8Array(event.data)]);
        next();
    };
    await ended;
    return found;
}
"""
"""Sends messages one after another, each when the one before it has come back, then closes; or the server does."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "trio", "curio"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The bare application on each library."""
    directory = tmp_path_factory.mktemp(f"browser-{request.param}")
    with Site("ws_bare_app:app", request.param, APPS, directory, "--lifespan", "off") as site:
        yield site


def talk(
    browser: Browser,
    site: Site,
    messages: list[Any],
    close: tuple[int | None, str] = (None, ""),
    path: str = "/echo",
    offered: tuple[str, ...] = (),
) -> tuple[str, dict[str, Any]]:
    """Open a WebSocket in the page, and return its token and what the page has seen of it."""
    token = site.token()
    return token, browser.run(TALK, address(site, path, token), list(offered), messages, *close)


def until_ended(site: Site, token: str, code: int, reason: str = "") -> None:
    """Wait until the application notes how a WebSocket has ended."""
    until(lambda: any(note.split()[0] == token for note in notes(site)), f"the end of {token}")
    assert f"{token} ended {code} {reason}".rstrip() in notes(site)


def test_messages_come_back(browser: Browser, site: Site) -> None:
    """Texts and bytes, empty ones and long ones, compressed ones as well: the browser offers that."""
    messages: list[Any] = ["", "grüße, 你好 😀", [], [0, 255, 127, 128], "long " * 50_000, [7] * 70_000]
    token, found = talk(browser, site, list(messages), (1000, "done"))
    assert found["messages"] == messages
    assert found["extensions"].startswith("permessage-deflate")
    assert found["protocol"] == ""
    assert (found["code"], found["clean"], found["error"]) == (1000, True, False)
    until_ended(site, token, 1000, "done")


def test_the_subprotocol_that_the_application_takes(browser: Browser, site: Site) -> None:
    _, found = talk(browser, site, ["hello"], (1000, ""), offered=("first", CHAT, "last"))
    assert found["protocol"] == CHAT
    assert found["messages"] == ["hello"]


def test_the_application_closes(browser: Browser, site: Site) -> None:
    token, found = talk(browser, site, [CLOSE])
    assert (found["code"], found["reason"], found["clean"]) == (CODE, REASON, True)
    until_ended(site, token, CODE, REASON)


def test_the_browser_closes(browser: Browser, site: Site) -> None:
    token, found = talk(browser, site, [], (4321, "enough ✓"))
    assert (found["code"], found["clean"]) == (4321, True)
    until_ended(site, token, 4321, "enough ✓")


def test_a_refusal(browser: Browser, site: Site) -> None:
    """A page is not told what the answer was."""
    _, found = talk(browser, site, ["unheard"], path="/deny")
    assert (found["code"], found["clean"], found["error"]) == (1006, False, True)
    assert found["messages"] == []


def test_the_end_is_clean(browser: Browser, site: Site) -> None:
    """Stands last."""
    assert site.stop() == 0, site.log()[-5000:]
    assert site.tracebacks() == [], site.log()

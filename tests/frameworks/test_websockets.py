"""WebSockets of frameworks under Tricorn, driven by two clients. What the paths do is written in apps/ws_shared.py."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Site, until
from websocket_clients import ByWebsockets, ByWsproto, Refused

APPS = Path(__file__).parent / "apps"
sys.path.append(str(APPS))

from ws_shared import CHAT, CLOSE, CODE, DENIAL, DENIAL_FIELD, REASON  # noqa: E402

STACKS = {
    "bare": ("asyncio", "uvloop", "trio", "curio"),
    "anyio": ("asyncio", "uvloop", "trio"),
    "starlette": ("asyncio", "uvloop", "trio"),
    "fastapi": ("asyncio", "uvloop", "trio"),
    "quart": ("asyncio", "uvloop"),
    "quart_trio": ("trio",),
    "django": ("asyncio", "uvloop"),
}
"""Which framework runs on which libraries."""

NO_LIFESPAN = ("bare", "anyio", "django")
TOLD = {"quart": 0, "quart_trio": 0, "django": 1}
"""How much of a code and a reason a framework hands on to its application, where that is not all."""

Client = type[ByWebsockets] | type[ByWsproto]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((framework, library), id=f"{framework}-{library}")
        for framework, libraries in STACKS.items()
        for library in libraries
    ],
)
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Site]]:
    """A framework, and its application on one library."""
    framework, library = request.param
    directory = tmp_path_factory.mktemp(f"ws-{framework}-{library}")
    options = ("--lifespan", "off") if framework in NO_LIFESPAN else ()
    with Site(f"ws_{framework}_app:app", library, APPS, directory, *options) as site:
        yield framework, site


@pytest.fixture(params=[ByWebsockets, ByWsproto], ids=["websockets", "wsproto"])
def client(request: pytest.FixtureRequest) -> Client:
    return request.param


def address(site: Site, path: str, token: str = "") -> str:
    return site.url.replace("http", "ws", 1) + path + (f"?token={token}" if token else "")


def notes(site: Site) -> list[str]:
    """Return what the application has noted, by a WebSocket as well."""
    peer = ByWsproto(address(site, "/notes"), trust=site.trust())
    noted: list[str] = json.loads(peer.take())
    assert peer.end() == (1000, "")
    return noted


def until_ended(stack: tuple[str, Site], token: str, *told: str) -> None:
    """Wait until the application notes a WebSocket's end, with as much of code and reason as its framework tells."""
    framework, site = stack
    expected = " ".join([token, "ended", *told[: TOLD.get(framework, 2)]]).rstrip()
    until(lambda: any(note.split()[0] == token for note in notes(site)), f"the end of {token}")
    assert [note for note in notes(site) if note.split()[0] == token] == [expected]


def test_messages_come_back(stack: tuple[str, Site], client: Client) -> None:
    """Of both kinds, empty ones, and some too long for a buffer or a frame's short lengths."""
    framework, site = stack
    token = site.token()
    peer = client(address(site, "/echo", token), trust=site.trust())
    assert peer.compressed
    assert peer.subprotocol is None
    for size in (0, 1, 125, 126, 65_535, 65_536, 300_000):
        text = "aé✓😀"[:size] + "x" * max(0, size - 4)
        data = random.Random(size).randbytes(size)
        # Quart hands an empty message of bytes to its application as None.
        for message in (text,) if not data and framework.startswith("quart") else (text, data):
            peer.send(message)
            assert peer.take() == message
    assert peer.close(1000) == (1000, "")
    until_ended(stack, token, "1000")


def test_the_subprotocol_that_the_application_takes(stack: tuple[str, Site], client: Client) -> None:
    site, token = stack[1], stack[1].token()
    peer = client(address(site, "/echo", token), "first", CHAT, "last", trust=site.trust())
    assert peer.subprotocol == CHAT
    peer.send("hello")
    assert peer.take() == "hello"
    peer.close(1001)
    until_ended(stack, token, "1001")


def test_the_application_closes(stack: tuple[str, Site], client: Client) -> None:
    site, token = stack[1], stack[1].token()
    peer = client(address(site, "/echo", token), trust=site.trust())
    peer.send(CLOSE)
    assert peer.end() == (CODE, REASON)
    until_ended(stack, token, str(CODE), REASON)


def test_the_client_closes(stack: tuple[str, Site], client: Client) -> None:
    site, token = stack[1], stack[1].token()
    peer = client(address(site, "/echo", token), trust=site.trust())
    peer.send(b"last")
    assert peer.take() == b"last"
    assert peer.close(4321, "enough ✓")[0] == 4321
    until_ended(stack, token, "4321", "enough ✓")


def test_the_client_vanishes(stack: tuple[str, Site], client: Client) -> None:
    site, token = stack[1], stack[1].token()
    peer = client(address(site, "/echo", token), trust=site.trust())
    peer.send("last")
    assert peer.take() == "last"
    peer.drop()
    until_ended(stack, token, "1006")


def test_a_refusal(stack: tuple[str, Site], client: Client) -> None:
    framework, site = stack
    with pytest.raises(Refused) as refused:
        client(address(site, "/deny"), trust=site.trust())
    assert refused.value.status == 403
    if framework != "django":  # Channels can only refuse, and leaves the answer to the server
        assert refused.value.body.decode() == DENIAL
        name, value = DENIAL_FIELD
        assert refused.value.headers[name] == value


def test_the_end_is_clean(stack: tuple[str, Site]) -> None:
    """Stands last: it stops the server while a WebSocket is open, and judges the log of everything above."""
    site, token = stack[1], stack[1].token()
    peer = ByWsproto(address(site, "/echo", token), trust=site.trust())
    peer.send("still here")
    assert peer.take() == "still here"
    site.ask_to_stop()
    assert peer.end()[0] == 1012
    assert site.wait() == 0, site.log()[-5000:]
    assert site.tracebacks() == [], site.log()
    assert "never awaited" not in site.log()
    assert "was never retrieved" not in site.log()

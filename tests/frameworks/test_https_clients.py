"""Clients of HTTP/1.1 over TLS: what they do without TLS (test_frameworks.py), and Go's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_frameworks
from go_client import GoClient
from serving import APPS, STACKS, Identity, Site

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")

five_megabytes = test_frameworks.five_megabytes
SIZE = 300_001


@pytest.fixture(scope="module", params=STACKS["bare"])
def site(
    request: pytest.FixtureRequest, identity: Identity, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The bare application on one library, over TLS."""
    directory = tmp_path_factory.mktemp(f"tls-{request.param}")
    with Site("bare_app:app", request.param, APPS, directory, identity=identity) as site:
        yield site


@pytest.fixture
def go(go_program: Path) -> GoClient:
    """Go's client, speaking HTTP/1.1."""
    return GoClient(go_program, ("-http1",))


def good(report: dict[str, Any], requests: int) -> None:
    """Fail unless each of so many requests was answered well, by HTTP/1.1."""
    assert (report["failed"], report["errors"]) == (0, None), report
    assert report["protocols"] == {"HTTP/1.1": requests}
    assert report["statuses"] == {"200": requests}


def test_connections_of_go_at_once(site: Site, go: GoClient) -> None:
    report = go.run(site, "parallel", "/stream-out?count=20&size=5000", 50)
    good(report, 51)
    assert report["sizes"] == {"100000": 51}


def test_upload_of_go(site: Site, go: GoClient) -> None:
    """Of unknown length, in pieces; what comes in the trailer section is no matter."""
    report = go.run(site, "upload", "/stream-in", SIZE)
    good(report, 1)
    assert f'"size": {SIZE}' in report["body"]
    assert report["sha256"] in report["body"]


def test_go_leaves(site: Site, go: GoClient) -> None:
    token = site.token()
    report = go.run(site, "leave", f"/ticker?token={token}")
    assert (report["failed"], report["body"]) == (0, "id: 0\n"), report
    site.until_noted(f"left {token}")


# The scenarios of every framework; their last test stops the server.
globals().update({name: test for name, test in vars(test_frameworks).items() if name.startswith("test_")})

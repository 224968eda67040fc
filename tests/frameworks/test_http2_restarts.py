"""A server that goes while Go's client sends requests over HTTP/2: by GOAWAY it learns which it may send again."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from go_client import GoClient
from serving import APPS, STACKS, Identity, Site, until

from tricorn import versions

pytestmark = pytest.mark.skipif(
    not (versions.has_tls() and versions.has_http2()), reason="TLS or HTTP/2 is not built in"
)
WORKERS = 16
LOADS = {
    "short": ("/page", 0),
    "long": ("/stream-out?count=10&size=9000", 0),
    "posts": ("/stream-in", 30_000),
}
"""Paths, and how many bytes are posted there."""
READY = "Application startup complete"


@pytest.fixture
def serve(identity: Identity, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """``serve(library, *options)``: the bare application in a server of its own."""
    with ExitStack() as stack:

        def start(library: str, *options: str) -> Site:
            app = ("bare_app:app", library, APPS, tmp_path)
            site = stack.enter_context(Site(*app, *options, identity=identity, http2=True))
            assert site.client.get("/page").status_code == 200
            return site

        yield start


def good(report: dict[str, Any]) -> None:
    """Fail unless every request that could be sent was answered well."""
    assert (report["failed"], report["errors"]) == (0, None), json.dumps(report)
    assert set(report["protocols"]) == {"HTTP/2.0"}, report
    assert set(report["statuses"]) == {"200"}, report
    assert report["statuses"]["200"] > WORKERS, report


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("library", STACKS["bare"])
def test_stop_under_load_fails_no_request(serve: Any, go_program: Path, library: str, load: str) -> None:
    """What was sent is answered; only new connections are refused."""
    site = serve(library)
    path, body = LOADS[load]
    with GoClient(go_program, ("-body", str(body))).running(site, path, WORKERS) as report:
        time.sleep(0.5)
        assert site.stop() == 0, site.log()
    good(report)
    assert report["refused"] > 0
    assert site.tracebacks() == [], site.log()


@pytest.mark.parametrize("library", STACKS["bare"])
def test_replaced_workers_fail_no_request(serve: Any, go_program: Path, library: str) -> None:
    """The client goes on by connections to the successors."""
    site = serve(library, "--workers", "2")
    until(lambda: site.log().count(READY) == 2, "both workers", 20)
    with GoClient(go_program).running(site, LOADS["short"][0], WORKERS) as report:
        for number in range(2):
            time.sleep(0.2)
            site.send_signal(signal.SIGHUP)
            until(lambda number=number: site.log().count(READY) == 4 + 2 * number, "the new workers", 20)
        time.sleep(0.5)
    good(report)
    assert report["refused"] == 0
    assert report["connections"] > 2
    assert site.stop() == 0, site.log()
    assert site.tracebacks() == [], site.log()

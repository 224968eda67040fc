"""WebSockets over TLS: what clients do without it (test_websockets.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import test_websockets
from serving import Identity, Site

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")

client = test_websockets.client


@pytest.fixture(scope="module", params=test_websockets.STACKS["bare"])
def stack(
    request: pytest.FixtureRequest, identity: Identity, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Site]]:
    """The bare application on one library, over TLS."""
    directory = tmp_path_factory.mktemp(f"wss-{request.param}")
    app = ("ws_bare_app:app", request.param, test_websockets.APPS, directory, "--lifespan", "off")
    with Site(*app, identity=identity) as site:
        yield "bare", site


# The scenarios of every framework; their last test stops the server.
globals().update({name: test for name, test in vars(test_websockets).items() if name.startswith("test_")})

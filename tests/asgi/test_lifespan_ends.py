"""What is no Exception, or is of another library, ends a lifespan like any failure: it is told, and in the code."""

from __future__ import annotations

import pytest
from harness import Serve

APP = "lifespan_ends:app"
NAMES = {"exit": "SystemExit", "cancelled": "CancelledError", "strange": "Strange", "foreign": "no trap"}


@pytest.mark.parametrize("what", NAMES)
def test_startup(own: Serve, library: str, what: str) -> None:
    """The server does not begin to serve; an ordinary exception would mean "not supported" to ``auto``."""
    mode = "on" if what == "foreign" else "auto"
    server = own(
        APP, library, "--lifespan", mode, ready=False, environment={"LIFESPAN_ENDS": f"startup {what}"}
    )
    assert server.wait() == 3
    assert NAMES[what] in server.log()
    assert "Application startup failed" in server.log()


@pytest.mark.parametrize("what", NAMES)
def test_shutdown(own: Serve, library: str, what: str) -> None:
    """The exit code tells that the shutdown failed."""
    server = own(APP, library, environment={"LIFESPAN_ENDS": f"shutdown {what}"})
    assert server.stop() == 1
    assert NAMES[what] in server.log()
    assert "Application shutdown failed" in server.log()

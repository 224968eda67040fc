"""The leak tests use the black-box tests' servers and clients."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "asgi"))

from harness import Server


@pytest.fixture(scope="module", autouse=True)
def memory_of_its_own() -> Iterator[None]:
    """A server's memory is weighed, none of which is to be shared with the process that it is a copy of."""
    before, Server.is_warm = Server.is_warm, False
    yield
    Server.is_warm = before

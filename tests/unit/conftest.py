"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from core_bench import Bench


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    """``bench(app, **settings)``: all that is needed to step a server by hand."""
    made: list[Bench] = []

    def make(app: Any, **settings: Any) -> Bench:
        made.append(Bench(app, **settings))
        return made[-1]

    yield make
    for one in made:
        one.client.close()
        one.server.close()

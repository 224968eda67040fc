"""The plugin of pytest: the fixture ``tricorn_server``, which serves applications for a test.

Nothing but this file is imported until a test asks for the fixture.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tricorn.serving_tests import Servers

FIXTURE = "tricorn_server"


@pytest.fixture
def tricorn_server(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Serve applications until the test ends: ``tricorn_server(app, **options)``, awaited in an ``async`` test.

    It gives a ``tricorn.RunningServer``, by default on a free port. An ``async`` test has it in a task of its own loop,
    anything else in a thread.
    """
    from tricorn.serving_tests import Servers

    with Servers() as servers:
        yield servers


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Have an ``async`` test wait, in its own loop, for the servers that it has started."""
    servers = getattr(item, "funcargs", {}).get(FIXTURE)
    function = getattr(item, "obj", None)
    if servers is None or not inspect.iscoroutinefunction(function) or hasattr(function, "hypothesis"):
        return (yield)
    item.obj = _waiting(function, servers)  # type: ignore[attr-defined]
    try:
        return (yield)
    finally:
        item.obj = function  # type: ignore[attr-defined]


def _waiting(function: Callable[..., Any], servers: Servers) -> Callable[..., Any]:
    """Return a test function that stops the servers where and when it ends."""

    @functools.wraps(function)
    async def test(*args: Any, **kwargs: Any) -> Any:
        async with servers.in_this_task():
            return await function(*args, **kwargs)

    return test

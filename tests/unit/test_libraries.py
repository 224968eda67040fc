"""Which library an application needs: what it declares, and what its errors show."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tricorn import libraries


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing."""


def test_an_application_may_declare_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class App:
        """Declares it."""

        __async_library__ = "trio"

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            """Do nothing."""

    assert libraries.declared(App()) == "trio"
    assert libraries.declared(application) is None
    module = types.ModuleType("declaring")
    monkeypatch.setitem(sys.modules, "declaring", module)
    assert libraries.declared(application, "declaring:app") is None
    module.__async_library__ = "curio"  # type: ignore[attr-defined]
    assert libraries.declared(application, "declaring:app") == "curio"
    assert libraries.declared(App(), "declaring:app") == "trio"


def test_quart_trio_needs_trio() -> None:
    quart_trio = pytest.importorskip("quart_trio")
    assert libraries.declared(quart_trio.QuartTrio(__name__)) == "trio"


async def _sleeps_in_asyncio() -> None:
    await asyncio.sleep(0.01)


async def _sleeps_in_trio() -> None:
    await trio.sleep(0.01)


async def _opens_a_nursery() -> None:
    async with trio.open_nursery():
        pass


async def _fails() -> None:
    raise RuntimeError("of its own")


@pytest.mark.parametrize(
    ("run", "library", "function", "meant"),
    [
        (trio.run, "trio", _sleeps_in_asyncio, "asyncio"),
        (lambda function: asyncio.run(function()), "asyncio", _sleeps_in_trio, "trio"),
        (lambda function: asyncio.run(function()), "uvloop", _opens_a_nursery, "trio"),
        (lambda function: asyncio.run(function()), "asyncio", _fails, None),
        (trio.run, "trio", _fails, None),
    ],
)
def test_errors_show_the_library(
    run: Callable[[Any], Any], library: str, function: Any, meant: str | None
) -> None:
    with pytest.raises(Exception) as error:
        run(function)
    assert libraries.mistaken(error.value, library) == meant


def test_a_library_is_not_mistaken_for_itself() -> None:
    assert libraries.mistaken(RuntimeError("no running event loop"), "uvloop") is None
    assert libraries.mistaken(RuntimeError("curio can't wait for <Future pending>"), "curio") == "asyncio"
    assert libraries.mistaken(KeyError("no running event loop"), "trio") is None

"""The applications of the frameworks, each served by Tricorn in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Site

APPS = Path(__file__).parent / "apps"

STACKS = {
    "bare": ("asyncio", "uvloop", "trio", "curio"),
    "starlette": ("asyncio", "uvloop", "trio"),
    "fastapi": ("asyncio", "uvloop", "trio"),
    "litestar": ("asyncio", "uvloop", "trio"),
    "quart": ("asyncio", "uvloop"),
    "quart_trio": ("trio",),
    "django": ("asyncio", "uvloop"),
}
"""Which framework runs on which libraries."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((framework, library), id=f"{framework}-{library}")
        for framework, libraries in STACKS.items()
        for library in libraries
    ],
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application on one library, shared by the tests of a module."""
    framework, library = request.param
    directory = tmp_path_factory.mktemp(f"{framework}-{library}")
    with Site(f"{framework}_app:app", library, APPS, directory) as site:
        yield site

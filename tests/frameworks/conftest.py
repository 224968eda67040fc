"""The applications of the frameworks, each served by Tricorn in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "asgi"))  # authority, http2_client

from go_client import build
from serving import APPS, STACKS, Identity, Site, make_identity


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


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """A certificate for the servers that speak TLS."""
    return make_identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client of Go's net/http."""
    return build(tmp_path_factory.mktemp("go"))

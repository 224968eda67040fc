"""The examples do what their first lines say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from serving import Site

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("library", ["asyncio", "uvloop", "trio"])
def test_starlette_app(library: str, tmp_path: Path) -> None:
    with Site("starlette_app:app", library, EXAMPLES, tmp_path) as site:
        running = "asyncio" if library == "uvloop" else library
        assert site.client.get("/").text == f"This is Starlette on {running}.\n"
        assert site.client.post("/greet", json={"name": "Ada"}).json() == {"greeting": "Hello, Ada!"}
        assert site.client.get("/countdown").text == "3 ...\n2 ...\n1 ...\ngo\n"
        assert site.stop() == 0
        assert site.tracebacks() == []


def test_trio_nursery(tmp_path: Path) -> None:
    with Site("trio_nursery:app", "trio", EXAMPLES, tmp_path) as site:
        assert site.client.get("/").status_code == 200
        start = time.monotonic()
        lines = site.client.get("/").text.splitlines()
        assert [line.split(":")[0] for line in lines[:3]] == ["news", "traffic", "weather"]
        assert lines[3].startswith("up for ")
        assert 0.3 <= time.monotonic() - start < 0.6  # asked at once, not one after the other
        with site.client.stream("GET", "/") as answer:
            next(answer.iter_lines())
        assert site.stop() == 0
        assert site.tracebacks() == []

"""Applications and the lifespan: Django has none, and is served nevertheless."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import Site

APPS = Path(__file__).parent / "apps"


@pytest.mark.parametrize("library", ["asyncio", "uvloop"])
@pytest.mark.parametrize("mode", ["auto", "off"])
def test_l3_django_as_it_is(library: str, mode: str, tmp_path: Path) -> None:
    with Site("django_app:plain", library, APPS, tmp_path, "--lifespan", mode) as site:
        assert site.client.get("/page").status_code == 200
        assert site.client.get("/landed", headers={"cookie": "a=b"}).json() == {"a": "b"}
        assert site.stop() == 0
        assert site.tracebacks() == []


def test_django_as_it_is_does_not_start_when_the_lifespan_is_required(tmp_path: Path) -> None:
    with Site("django_app:plain", "asyncio", APPS, tmp_path, "--lifespan", "on") as site:
        assert site.wait() == 3
        assert "Django can only handle ASGI/HTTP connections, not lifespan" in site.log()

"""Sites of WSGI frameworks, found to be that without an option, on every library and with none."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serving import Site, until

APPS = Path(__file__).parent / "apps"
LIBRARIES = ("asyncio", "uvloop", "trio", "curio", "none")


@pytest.fixture(
    scope="module",
    params=[(framework, library) for framework in ("flask", "django") for library in LIBRARIES],
    ids="-".join,
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site on one library, below a root path; it must stop well."""
    framework, library = request.param
    directory = tmp_path_factory.mktemp("site")
    app = f"wsgi_{framework}_app:app"
    with Site(app, library, APPS, directory, "--root-path", "/below", "--wsgi-threads", "4") as site:
        yield site
        assert site.stop() == 0, site.log()
        assert "Serving a WSGI application in up to 4 threads" in site.log()


def test_what_the_framework_makes_of_the_request(site: Site) -> None:
    told = site.client.get("/json", params={"a": "grüße &"}).raise_for_status().json()
    assert (told["query"], told["ip"]) == ({"a": "grüße &"}, "127.0.0.1")
    assert told["root"].rstrip("/") == "/below"
    assert told["url"].startswith(f"{site.url}/below/json?a=")


def test_json(site: Site) -> None:
    value = {"text": "你好", "list": list(range(30_000))}
    assert site.client.post("/json", json=value).raise_for_status().json() == {"echo": value}


def test_a_form_with_a_large_file(site: Site) -> None:
    data = random.Random(1).randbytes(3_000_000)
    answer = site.client.post("/form", data={"note": "ä"}, files={"file": ("a.bin", data)})
    assert answer.raise_for_status().json() == {
        "note": "ä",
        "name": "a.bin",
        "size": len(data),
        "sum": hashlib.sha256(data).hexdigest(),
    }


def test_a_body_that_is_streamed(site: Site) -> None:
    data = random.Random(2).randbytes(1_000_000)
    told = site.client.post("/stream", content=data).raise_for_status().json()
    assert told == {"size": len(data), "sum": hashlib.sha256(data).hexdigest()}


def test_a_chunked_body(site: Site) -> None:
    """Flask reads it; Django reads only what a Content-Length announces."""
    told = site.client.post("/stream", content=iter([b"a" * 1000] * 100)).raise_for_status().json()
    assert told["size"] == (0 if "django" in site.app else 100_000)


def test_an_answer_that_is_streamed(site: Site) -> None:
    text = site.client.get("/stream", params={"count": 5000}).raise_for_status().text
    assert text.splitlines() == [str(number) for number in range(5000)]


def test_head(site: Site) -> None:
    assert site.client.head("/json").status_code == 200
    assert site.client.get("/who").text == "nobody"


def test_sessions_and_redirects(site: Site) -> None:
    """The path of the redirect has the root path, which a proxy would take off again."""
    with httpx.Client(base_url=site.url, trust_env=False) as browser:
        answer = browser.get("/login/me")
        assert (answer.status_code, answer.headers["location"]) == (302, "/below/who")
        assert browser.get("/who").text == "me"


def test_errors(site: Site) -> None:
    """They are the framework's, in its log, and not the server's."""
    assert site.client.get("/forbidden").status_code == 403
    assert site.client.get("/missing").status_code == 404
    assert site.client.get("/fail").status_code == 500
    assert "ValueError: on purpose" in site.log() and "Exception in ASGI application" not in site.log()


def test_many_requests_at_once(site: Site) -> None:
    with ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(lambda n: site.client.get("/stream", params={"count": n}).text, range(200)))
    assert [text.count("\n") for text in texts] == list(range(200))


def test_a_client_that_leaves(site: Site) -> None:
    """The framework's own end of a request comes all the same."""
    before = len(site.client.get("/ended").json())
    with httpx.stream("GET", f"{site.url}/stream", params={"count": 10**9}, trust_env=False) as answer:
        next(answer.iter_bytes())
    # Each look at the list ends a request, too: after the first, one more than those.
    until(lambda: len(site.client.get("/ended").json()) > before, "the end")
    assert site.client.get("/who").status_code == 200


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_what_cannot_be_seen_is_said(library: str, tmp_path: Path) -> None:
    """An application that takes any arguments is one of WSGI when that is said."""
    (tmp_path / "odd.py").write_text(
        "from wsgiref.validate import validator\n"
        "def page(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [b'odd']\n"
        "app = validator(page)\n",
        encoding="utf-8",
    )
    with Site("odd:app", library, tmp_path, tmp_path, "--interface", "wsgi") as site:
        assert site.client.get("/").text == "odd"
        assert site.stop() == 0

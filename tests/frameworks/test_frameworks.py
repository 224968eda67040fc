"""Frameworks under Tricorn, driven by httpx, curl and wrk: one table of scenarios for all of them.

Every test runs for every framework on every library that the framework can run on (see conftest.py). What the
routes do is written in apps/shared.py.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Site, until

MEBIBYTE = 1 << 20
EVENTS = 5
JSON_VALUE = {"text": "grüße, 你好", "numbers": [0, -1, 2.5], "nested": {"none": None, "yes": True}}


@pytest.fixture(scope="module")
def five_megabytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 5 MB in which every line ending and every byte occurs."""
    path = tmp_path_factory.mktemp("upload") / "five.bin"
    path.write_bytes(random.Random(5).randbytes(5_000_000))
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def curl(site: Site, *arguments: str, code: int = 0) -> str:
    """Run curl, expect its exit code, and return what it wrote."""
    done = subprocess.run(site.curl(*arguments), capture_output=True, timeout=30)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode()


@contextmanager
def events(site: Site, path: str, token: str) -> Iterator[httpx.Response]:
    """Open a stream of events on a connection of its own, with little patience."""
    with (
        site.new_client(timeout=5) as client,
        client.stream("GET", path, params={"token": token}) as answer,
    ):
        yield answer


# --- start-up


def test_what_startup_left_is_seen_by_every_request(site: Site) -> None:
    for _ in range(3):
        report = site.client.get("/lifespan").raise_for_status().json()
        library = "asyncio" if site.library == "uvloop" else site.library
        assert report == {"greeting": "ready since start-up", "started": 1, "library": library}


# --- bodies in and out


@pytest.mark.parametrize("value", [JSON_VALUE, {"long": "x" * 100_000}], ids=["short", "long"])
def test_json_both_ways(site: Site, value: dict[str, Any]) -> None:
    assert site.client.post("/json", json=value).raise_for_status().json() == {"echo": value}


def test_json_by_curl(site: Site) -> None:
    sent = json.dumps(JSON_VALUE)
    answer = curl(site, "--json", sent, f"{site.url}/json")
    assert json.loads(answer) == {"echo": JSON_VALUE}


def test_form(site: Site) -> None:
    fields = {"name": "José & Söhne", "plus": "1 + 1 = 2", "empty-ish": " "}
    assert site.client.post("/form", data=fields).raise_for_status().json() == fields


def test_form_by_curl(site: Site) -> None:
    answer = curl(
        site, "--data-urlencode", "name=José & Söhne", "--data-urlencode", "plus=1 + 1", f"{site.url}/form"
    )
    assert json.loads(answer) == {"name": "José & Söhne", "plus": "1 + 1"}


def report_on(file: Path) -> dict[str, Any]:
    """Return what an application should say of an uploaded file."""
    data = file.read_bytes()
    return {"size": len(data), "sha256": sha256(data), "name": file.name, "note": "five"}


def test_upload_of_five_megabytes(site: Site, five_megabytes: Path) -> None:
    with five_megabytes.open("rb") as file:
        answer = site.client.post("/upload", data={"note": "five"}, files={"file": file})
    assert answer.raise_for_status().json() == report_on(five_megabytes)


@pytest.mark.parametrize(
    "framing", [[], ["--header", "Transfer-Encoding: chunked"]], ids=["length", "chunked"]
)
def test_upload_of_five_megabytes_by_curl(site: Site, five_megabytes: Path, framing: list[str]) -> None:
    # A body of this size makes curl send "Expect: 100-continue"; it would wait for 15 s here.
    wait = ["--expect100-timeout", "15", "--max-time", "10"]
    form = ["--form", "note=five", "--form", f"file=@{five_megabytes}"]
    answer = curl(site, *wait, *framing, *form, f"{site.url}/upload")
    data = five_megabytes.read_bytes()
    assert json.loads(answer) == {
        "size": len(data),
        "sha256": sha256(data),
        "name": "five.bin",
        "note": "five",
    }


# --- streams


def test_a_request_streamed_in_chunks(site: Site) -> None:
    sizes = [1, 10, 1000, 100_000, 65_536, 3] * 5
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]

    def body() -> Iterator[bytes]:
        yield from pieces

    answer = site.client.post("/stream-in", content=body()).raise_for_status()
    assert "content-length" not in answer.request.headers
    whole = b"".join(pieces)
    assert answer.json() == {"size": len(whole), "sha256": sha256(whole)}


def test_an_answer_streamed_in_pieces(site: Site) -> None:
    with site.client.stream("GET", "/stream-out", params={"count": 100, "size": 3000}) as answer:
        assert answer.status_code == 200
        assert ("transfer-encoding" in answer.headers) is not site.http2
        assert "content-length" not in answer.headers
        body = b"".join(answer.iter_bytes())
    assert body == b"".join(bytes([index]) * 3000 for index in range(100))


def test_an_answer_larger_than_every_buffer(site: Site) -> None:
    with site.client.stream("GET", "/stream-out", params={"count": 128, "size": MEBIBYTE // 4}) as answer:
        digest = hashlib.sha256()
        for piece in answer.iter_raw():
            digest.update(piece)
    expected = hashlib.sha256()
    for index in range(128):
        expected.update(bytes([index]) * (MEBIBYTE // 4))
    assert digest.hexdigest() == expected.hexdigest()


def test_an_answer_streamed_to_a_client_of_http_1_0(site: Site) -> None:
    body = curl(site, "--http1.0", f"{site.url}/stream-out?count=20&size=100")
    assert body.encode() == b"".join(bytes([index]) * 100 for index in range(20))


def test_events_arrive_one_by_one(site: Site) -> None:
    """Each event is only made after the one before it has arrived, and the first after the head of the answer has.

    So nothing on the way may hold anything back.
    """
    token = site.token()
    with events(site, "/events", token) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        for number in range(EVENTS):
            site.release(token)
            assert [next(lines) for _ in range(3)] == [f"id: {number}", f"data: event {number}", ""]
        assert next(lines, None) is None


def test_a_client_that_leaves_the_events_early_is_noticed(site: Site) -> None:
    token = site.token()
    with events(site, "/ticker", token) as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(6)][3:] == ["id: 1", "data: event 1", ""]
        assert f"left {token}" not in site.notes()
    site.until_noted(f"left {token}")


def test_curl_leaving_the_events_early_is_noticed(site: Site) -> None:
    token = site.token()
    timed_out = 28
    events = curl(
        site, "--no-buffer", "--max-time", "0.5", f"{site.url}/ticker?token={token}", code=timed_out
    )
    assert events.startswith("id: 0\ndata: event 0\n\nid: 1\n")
    site.until_noted(f"left {token}")


# --- work after the answer, work for nobody


def test_a_background_task_runs_after_the_answer(site: Site) -> None:
    """The answer arrives, and the same connection serves on, while the task still waits."""
    token = site.token()
    answer = site.client.post("/background", params={"token": token})
    assert (answer.status_code, answer.json()) == (202, {"accepted": True})
    assert f"done {token}" not in site.notes()
    site.release(token)
    site.until_noted(f"done {token}")


def test_a_client_that_leaves_a_slow_handler_is_noticed(site: Site) -> None:
    token = site.token()
    with site.new_client(timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.get("/slow", params={"token": token})
    site.until_noted(f"gone {token}")


def test_other_requests_are_served_beside_a_slow_one(site: Site) -> None:
    token = site.token()
    with subprocess.Popen(site.curl(f"{site.url}/slow?token={token}")) as slow:
        site.until_noted(f"came {token}")
        for _ in range(20):
            assert site.client.get("/page").status_code == 200
        assert slow.poll() is None
        slow.kill()
    site.until_noted(f"gone {token}")


# --- exceptions


def test_an_exception_is_answered_with_500_and_logged_once(site: Site) -> None:
    token = site.token()
    site.expected_errors += 1
    answer = site.client.get("/error", params={"token": token})
    assert answer.status_code == 500
    assert token not in answer.text
    message = f"RuntimeError: deliberate {token}"
    until(lambda: message in site.log(), "the exception in the log")
    assert site.client.get("/page").status_code == 200
    assert site.log().count(message) == 1
    assert sum(message in block for block in site.tracebacks()) == 1


def test_an_exception_in_mid_answer_breaks_the_answer_off(site: Site) -> None:
    """The client must be able to tell that the answer is not whole (RFC 9112 section 8)."""
    token = site.token()
    site.expected_errors += 1
    with (
        pytest.raises(httpx.RemoteProtocolError),
        site.client.stream("GET", "/error-late", params={"token": token}) as answer,
    ):
        assert answer.status_code == 200
        answer.read()
    until(lambda: f"RuntimeError: deliberate {token}" in site.log(), "the exception in the log")
    assert site.client.get("/page").status_code == 200


# --- fields and methods


def test_cookies_and_a_redirect(site: Site) -> None:
    with site.new_client(follow_redirects=True) as client:
        answer = client.get("/cookies").raise_for_status()
    assert [(step.status_code, step.headers["location"]) for step in answer.history] == [(303, "/landed")]
    assert len(answer.history[0].headers.get_list("set-cookie")) == 2
    assert answer.json() == {"first": "one", "second": "two"}


def test_cookies_and_a_redirect_by_curl(site: Site) -> None:
    answer = curl(site, "--location", "--cookie", "", f"{site.url}/cookies")
    assert json.loads(answer) == {"first": "one", "second": "two"}


def test_head_has_the_fields_of_get_and_no_body(site: Site) -> None:
    get, head = site.client.get("/page"), site.client.head("/page")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type"):
        assert head.headers[name] == get.headers[name]
    assert int(head.headers["content-length"]) == len(get.content)
    assert site.client.get("/page").content == get.content


def test_head_by_curl(site: Site) -> None:
    answer = curl(site, "--head", f"{site.url}/page", "--next", *site.curl()[1:], f"{site.url}/page")
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/2 200 " if site.http2 else "HTTP/1.1 200 ")
    assert f"content-length: {len(body)}" in head.lower()


def test_an_unknown_path_is_the_applications_404(site: Site) -> None:
    assert site.client.get("/nowhere").status_code == 404


# --- load, and the end


def test_a_burst_from_wrk_has_no_errors(site: Site) -> None:
    command = ["wrk", "--threads", "1", "--connections", "16", "--duration", "1s", f"{site.url}/page"]
    report = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert "Socket errors" not in report, report
    assert "Non-2xx" not in report, report
    done = re.search(r"(\d+) requests in", report)
    assert done is not None, report
    assert int(done[1]) > 10, report


def test_the_end_is_clean_and_the_log_has_no_surprise(site: Site) -> None:
    """Stands last: it stops the server and judges the log of everything above."""
    assert site.client.get("/page").status_code == 200  # leaves an idle connection
    assert site.stop() == 0, site.log()[-5000:]
    log = site.log()
    assert log.count("application stopped") == 1
    assert [block for block in site.tracebacks() if "deliberate" not in block] == [], log
    assert len(site.tracebacks()) == site.expected_errors, log
    assert "ASGI callable returned" not in log
    assert "never awaited" not in log
    assert "was never retrieved" not in log
    assert "ResourceWarning" not in log

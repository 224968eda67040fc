"""A server of the binding whose N-th allocation fails, for every N: it lives, and nothing but MemoryError is seen.

Run as a program; prints how many allocations were made to fail, what of it was seen, and what was wrong.
"""

from __future__ import annotations

import _testcapi
import gc
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from test_core_module import HEAD, POST, Bench, answer, suspend

REQUESTS = (
    b"GET /a%20b?c=d HTTP/1.1\r\nHost: test.example\r\nX-Unknown: one\r\nCookie: two\r\n\r\n",
    POST + b"abc",
    b"GET /fail HTTP/1.1\r\nHost: test.example\r\n\r\n",
)
ENOUGH = 200
"""So many failures in a row that nobody notices are beyond the last allocation."""

wrong: list[str] = []
seen = [0]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Do a little of everything that an application can do."""
    if scope["path"] == "/fail":
        raise ValueError("on purpose")
    if scope["method"] == "POST":
        message = await receive()
        await send({**HEAD, "headers": [(b"x-a", b"b"), [b"x-c", b"d"]]})
        await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": memoryview(b"view"), "more_body": True})
        await send({"type": "http.response.body", "body": bytearray(70_000)})
        return
    await suspend(scope, receive, send)


def note(what: str, error: BaseException | None) -> None:
    """Keep what is not a shortage of memory, or a consequence of one."""
    seen[0] += isinstance(error, MemoryError)
    if isinstance(error, SystemError) or "bad" in str(error):
        wrong.append(f"{what}: {error!r}")


def step(at: Bench, runners: list[Any]) -> None:
    """Step each serving task once; the library would start another where one has ended."""
    for runner in list(runners):
        try:
            runner.send(None)
        except StopIteration:
            runners.remove(runner)
        except BaseException as error:
            note("step", error)
            runners.remove(runner)
    if not runners:
        runners.append(at.server.runner())


def serve(at: Bench) -> None:
    """Send every request and step the server through them."""
    runners: list[Any] = [at.server.runner()]
    for request in REQUESTS:
        at.client.sendall(request)
        for _ in range(6):
            step(at, runners)
            if at.library.spawned:
                at.library.spawned -= 1
                runners.append(at.server.runner())
    for runner in runners:
        runner.close()


def fail_at(number: int) -> bool:
    """Serve with that allocation failing; returns whether anybody noticed."""
    before = seen[0]
    at = Bench(app)
    try:
        _testcapi.set_nomemory(number, number + 1)
        try:
            serve(at)
        finally:
            _testcapi.remove_mem_hooks()
    except BaseException as error:
        note("serve", error)
    for told in at.library.errors:
        note("told", told)
    at.client.close()
    at.server.close()
    return seen[0] > before


def main() -> None:
    """Fail one allocation after another, up to beyond the last, then serve as ever."""
    sys.unraisablehook = lambda told: note("unraisable", told.exc_value)
    number = last = 0
    while number - last < ENOUGH:
        number += 1
        if fail_at(number):
            last = number
        if number % 50 == 0:
            gc.collect()
    at = Bench(answer)
    runner = at.server.runner()
    runner.send(None)
    at.client.sendall(REQUESTS[0])
    runner.send(None)
    print(json.dumps({"last": last, "seen": seen[0], "wrong": wrong[:20], "status": at.status()}))


if __name__ == "__main__":
    main()

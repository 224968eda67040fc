"""An application for the tests of worker processes: it tells who it is, stands still, and ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import aio

IMPORTED_BY = os.getpid()
"""The process that has imported this module."""

BROKEN = os.environ.get("CREW_BROKEN")
"""A file; while it exists, the module cannot be imported."""

if BROKEN and Path(BROKEN).exists():
    raise RuntimeError("broken on purpose")

SLOW = os.environ.get("CREW_SLOW")
"""A file; while it exists, the module takes so many seconds to import as it says."""

if SLOW and Path(SLOW).exists():
    time.sleep(float(Path(SLOW).read_text()))

if "CREW_SAYS" in os.environ:
    sys.stdout.write("imported\n")  # and is not written out yet

held: list[bytes] = []


def _facts() -> bytes:
    return json.dumps({"pid": os.getpid(), "parent": os.getppid(), "imported": IMPORTED_BY}).encode()


def _end_a_child() -> int | None:
    """Fork, end the child by a signal, and return what became of it."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
    child.start()
    time.sleep(0.3)  # the interpreter forgets a signal that comes before it is up
    child.terminate()
    child.join(5)
    code = child.exitcode
    child.kill()
    return code


async def _act(path: str, query: str) -> bytes:
    if path == "/stand":
        time.sleep(float(query))
    elif path == "/wait":
        await aio.sleep(float(query))
    elif path == "/exit":
        os._exit(int(query))
    elif path == "/hold":
        held.append(bytearray(int(query)))  # type: ignore[arg-type]
    elif path == "/child":
        return json.dumps(_end_a_child()).encode()
    elif path == "/env":
        return json.dumps({"path": sys.path, "argv": sys.argv, "flags": list(sys.flags)}).encode()
    return _facts()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve, and tell of start and stop on standard output."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"].removeprefix("lifespan.")
            if event == "startup" and "CREW_USER" in os.environ:
                os.setuid(int(os.environ["CREW_USER"]))
            sys.stdout.write(f"{event} {os.getpid()}\n")
            sys.stdout.flush()
            await send({"type": f"lifespan.{event}.complete"})
            if event == "shutdown":
                return
    body = await _act(scope["path"], scope["query_string"].decode())
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})

"""Answers every request with what the server said of it, once its body is complete."""

from __future__ import annotations

import json
from typing import Any

probes: set[str] = set()
"""The queries of the requests for ``/probe`` that were ever seen."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Show a request; one whose body never ends gets no answer from here."""
    assert scope["type"] == "http", "no other protocol is spoken here"
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    query = scope["query_string"]
    if scope["path"] == "/probe":
        probes.add(query.decode())
    shown: Any = {
        "method": scope["method"],
        "target": scope["raw_path"].decode("latin-1") + ("?" + query.decode("latin-1") if query else ""),
        "version": scope["http_version"],
        "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
    }
    if scope["path"] == "/probes":
        shown = sorted(probes)
    # In a field, which an answer to HEAD has, too.
    fields = [(b"content-length", b"0"), (b"x-shown", json.dumps(shown).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body"})

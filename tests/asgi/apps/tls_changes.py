"""Answers with what it finds of a client's certificate, and changes that."""

from __future__ import annotations

import json
from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one scope."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan")
    told = scope["extensions"]["tls"]
    text = json.dumps([told["client_cert_name"], told["client_cert_chain"]]).encode()
    told["client_cert_name"] = "CN=somebody else"
    told["client_cert_chain"].append("a certificate")
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": text})

"""Verdicts on bytes: which requests they hold, and how they end. A corpus gives one, the server another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Field = tuple[str, str]

HOST = "inserted.example"
"""The value of the Host field that a case gets when it has none and is not about that."""


@dataclass(frozen=True)
class Request:
    """A complete request; the names of its fields are in lower case."""

    method: str
    target: str
    version: str
    fields: tuple[Field, ...]
    body: bytes = b""


@dataclass(frozen=True)
class Verdict:
    """The complete requests in some bytes, and whether what came behind them was refused."""

    requests: tuple[Request, ...]
    refused: bool = False

    def __str__(self) -> str:
        shown = [f"{r.method} {r.target} {dict(r.fields)} {r.body!r}" for r in self.requests]
        return "; ".join([*shown, "refused" if self.refused else "fine"])


@dataclass(frozen=True)
class Case:
    """Bytes, and what their corpus says of them."""

    name: str
    data: bytes
    verdict: Verdict
    cut: bool = False
    """Whether the bytes end within a request, so that only the end of the connection decides."""
    options: frozenset[str] = field(default=frozenset())
    """What the corpus switched on for it, by its own names."""


def request(method: str, target: str, version: str, fields: Iterable[Field], body: bytes = b"") -> Request:
    """Make a request comparable: names in lower case, no inserted Host, the target's authority in the Host field."""
    listed = [(name.lower(), value) for name, value in fields]
    listed = [(name, value.lower() if name == "transfer-encoding" else value) for name, value in listed]
    if match := re.match(r"https?://([^/?]*)(.*)", target, re.IGNORECASE):
        if not any(name == "host" for name, _ in listed):
            listed.insert(0, ("host", match[1]))
        target = match[2] if match[2].startswith("/") else f"/{match[2]}"
    kept = tuple(pair for pair in listed if pair != ("host", HOST))
    return Request(method, target.rstrip("?"), version, kept, body)


@dataclass(frozen=True)
class Observed:
    """What the server made of some bytes."""

    requests: tuple[Request, ...]
    statuses: tuple[int, ...]
    """The statuses of the answers that are not the application's."""
    well_ended: bool
    """Whether the last answer was complete and the connection closed behind it."""

    @property
    def verdict(self) -> Verdict:
        """Return what it comes to."""
        return Verdict(self.requests, bool(self.statuses))


def observe(answers: bytes) -> Observed:
    """Read what a server with the mirror application answered on a connection."""
    requests: list[Request] = []
    statuses: list[int] = []
    while match := re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n", answers):
        fields = {name.lower(): value for name, value in re.findall(rb"([^:\r\n]+): ([^\r\n]*)", match[2])}
        answers = answers[match.end() + int(fields.get(b"content-length", 0)) :]
        status = int(match[1])
        if status == 200:
            requests.append(_shown(json.loads(fields[b"x-shown"])))
        elif status >= 200:
            statuses.append(status)
    return Observed(tuple(requests), tuple(statuses), answers == b"")


def _shown(shown: dict[str, Any]) -> Request:
    fields = [(name, value) for name, value in shown["fields"]]
    body = shown["body"].encode("latin-1")
    return request(shown["method"], shown["target"], shown["version"], fields, body)

"""Gunicorn's requests: a file of escaped bytes, and a Python file that says what they are."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verdicts import HOST, Case, Request, Verdict, request

INCOMPLETE = {"NoMoreData", "ChunkMissingTerminator"}
"""Its errors for bytes that end too early."""


class Config:
    """Notes the settings that a case changes."""

    def __init__(self) -> None:
        self.changed: set[str] = set()

    def set(self, name: str, _: object) -> None:
        """Note a setting."""
        self.changed.add(name)


class _Errors:
    """The module of gunicorn's errors: each is known by its name."""

    def __getattr__(self, name: str) -> str:
        return name


class _Configs:
    Config = Config


def _import(name: str, *_: object) -> Any:
    """Give a case the two modules that cases import, and nothing else."""
    return {"gunicorn.config": _Configs, "gunicorn.http.errors": _Errors()}[name]


def cases(directory: Path) -> Iterator[Case]:
    """Yield the cases below ``tests/requests``."""
    for path in sorted(directory.glob("*/*.http")):
        known = {**vars(builtins), "__import__": _import}
        names: dict[str, Any] = {"__builtins__": known, "uri": str, "cfg": Config()}
        exec(compile(path.with_suffix(".py").read_text(), path.stem, "exec"), names)
        data, expected = _unescape(path.read_bytes()), names["request"]
        refused = isinstance(expected, str)
        listed = expected if isinstance(expected, list) else [] if refused else [expected]
        requests = tuple(_request(each) for each in listed)
        yield Case(
            name=f"gunicorn/{path.parent.name}/{path.stem}",
            data=_with_host(data, max(1, len(requests))),
            verdict=Verdict(requests, refused),
            cut=(refused and expected in INCOMPLETE) or any(_is_short(each) for each in requests),
            options=frozenset(names["cfg"].changed),
        )


def _unescape(text: bytes) -> bytes:
    text = text.replace(b"\n", b"").replace(b"\\r\\n", b"\r\n")
    text = text.replace(b"\\0", b"\0").replace(b"\\n", b"\n").replace(b"\\t", b"\t")
    return re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text)


def _with_host(data: bytes, heads: int) -> bytes:
    """Insert a Host field into the first heads, as many as there are requests, where it is missing."""

    def insert(match: re.Match[bytes]) -> bytes:
        has_host = re.search(rb"^host\s*:", match[2], re.IGNORECASE | re.MULTILINE)
        if has_host or not match[1].endswith(b"HTTP/1.1\r\n"):
            return match[0]
        return match[1] + b"Host: " + HOST.encode() + b"\r\n" + match[2]

    first_lines = rb"((?:^|(?<=\r\n\r\n))(?:\r\n)*[^ \r\n]+ [^\r\n]*HTTP/[^\r\n]*\r\n)((?:[^\r\n]+\r\n)*)"
    return re.sub(first_lines, insert, data, count=heads)


def _request(expected: dict[str, Any]) -> Request:
    body = expected["body"]
    return request(
        expected["method"],
        expected["uri"],
        "{}.{}".format(*expected["version"]),
        [(_text(name), _text(value)) for name, value in expected["headers"]],
        body if isinstance(body, bytes) else body.encode("latin-1"),
    )


def _is_short(request: Request) -> bool:
    """Whether a request has less of a body than it announces."""
    length = dict(request.fields).get("content-length", "0")
    return length.isdigit() and len(request.body) < int(length)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")

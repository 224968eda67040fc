"""The fixtures of llhttp: Markdown with a request and the log of what its parser did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from verdicts import HOST, Case, Request, Verdict, request

AFTER_CLOSE = 5
"""Its error for bytes behind a request that closes the connection, which the server leaves unread."""
UPGRADE = 22
"""Its pause before bytes of another protocol: what follows is no longer of the case."""


def cases(directory: Path) -> Iterator[Case]:
    """Yield the cases of ``test/request``."""
    for path in sorted(directory.glob("*.md")):
        seen: dict[str, int] = {}
        for title, meta, text, log in _fixtures(path.read_text()):
            seen[title] = seen.get(title, 0) + 1
            number = f"-{seen[title]}" if seen[title] > 1 else ""
            options = {str(meta["type"]).removeprefix("request").strip("-")} - {""}
            options |= {"skip-body"} if meta.get("skipBody") else set()
            yield _case(f"llhttp/{path.stem}/{title}{number}", text, log, frozenset(options))


def _fixtures(text: str) -> Iterator[tuple[str, dict[str, object], str, str]]:
    """Yield title, meta, request and log of each fixture of a page."""
    title, meta, blocks = "", {}, {}
    for match in re.finditer(
        r"^#+ ([^\n]+)$|^<!-- meta=(\{[^\n]*\}) -->$|^```(http|log)\n(.*?)^```$",
        text,
        re.MULTILINE | re.DOTALL,
    ):
        if match[1]:
            title = re.sub(r"[^a-z0-9]+", "-", match[1].lower()).strip("-")
        elif match[2]:
            meta = json.loads(match[2])
        else:
            blocks[match[3]] = match[4]
            if match[3] == "log":
                yield title, meta, blocks["http"], blocks["log"]


def _case(name: str, text: str, log: str, options: frozenset[str]) -> Case:
    reading = _Log(_unescape(text), log)
    verdict = Verdict(tuple(reading.requests), reading.refused or reading.cut)
    return Case(name, reading.with_hosts(), verdict, reading.cut or "skip-body" in options, options)


def _unescape(text: str) -> bytes:
    """Turn a fixture into bytes, as llhttp's own runner does."""
    text = re.sub(r"\n\Z", "", text)
    text = re.sub(r"\\\n", "", text)
    text = text.replace("\n", "\r\n")
    for escape, value in (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\f")):
        text = text.replace(escape, value)
    text = re.sub(r"\\x([0-9a-fA-F]+)", lambda match: chr(int(match[1], 16)), text)
    text = re.sub(r"\\([0-7]{1,3})", lambda match: chr(int(match[1], 8)), text)
    text = re.sub(r"\$\{'(.)'\.repeat\((\d+)\)\}", lambda match: match[1] * int(match[2]), text)
    return text.encode()


class _Log:
    """What the log says: complete messages, whether an error ended them, and where Host fields are missing."""

    def __init__(self, data: bytes, log: str) -> None:
        self.data = data
        self.requests: list[Request] = []
        self.refused = False
        self.cut = False
        self._missing: list[int] = []
        self._begin()
        for line in log.replace("\\t", "\t").replace("\\f", "\f").splitlines():
            self._line(line)
        self._end()

    def _begin(self) -> None:
        self._spans: dict[str, str] = {}
        self._fields: list[tuple[str, str]] = []
        self._body = b""
        self._heads_at: int | None = None
        self._open = False
        self._in_trailers = False

    def _line(self, line: str) -> None:
        if match := re.match(r'off=(\d+) len=(\d+) span\[(\w+)\]="', line):
            at, length = int(match[1]), int(match[2])
            self._span(match[3], self.data[at : at + length])
        elif match := re.match(r"off=(\d+) ((?:version|headers|message) complete|message begin)", line):
            self._event(int(match[1]), match[2])
        elif match := re.match(r"off=(\d+) error code=(\d+)", line):
            self._error(int(match[1]), int(match[2]))

    def _error(self, at: int, code: int) -> None:
        self.refused = code not in (AFTER_CLOSE, UPGRADE)
        self._open = False
        if code == UPGRADE:
            self.data = self.data[:at]

    def _span(self, kind: str, value: bytes) -> None:
        text = value.decode("latin-1")
        if kind == "body":
            self._body += value
        elif kind.startswith("header") and self._in_trailers:
            pass  # nobody is given them
        elif kind == "header_field":
            self._fields.append((text, ""))
        elif kind == "header_value":
            name, before = self._fields[-1]
            self._fields[-1] = (name, before + text)
        else:
            self._spans[kind] = self._spans.get(kind, "") + text

    def _event(self, at: int, what: str) -> None:
        if what == "message begin":
            self._end()
            self._begin()
            self._open = True
        elif what == "version complete":
            self._heads_at = self.data.find(b"\n", at) + 1 or None
        elif what == "headers complete":
            self._in_trailers = True
        else:
            self._open = False
            spans = self._spans
            fields = [(name, value.rstrip(" \t")) for name, value in self._fields]
            version = spans.get("version", "")
            self.requests.append(request(spans["method"], spans["url"], version, fields, self._body))

    def _end(self) -> None:
        """Close a message: the last one may have been cut off."""
        self.cut = self._open
        has_host = any(name.lower() == "host" for name, _ in self._fields)
        if self._heads_at is not None and not has_host and self._spans.get("version") != "1.0":
            self._missing.append(self._heads_at)

    def with_hosts(self) -> bytes:
        """Return the bytes with a Host field in each head that has none."""
        data = self.data
        for at in reversed(self._missing):
            data = data[:at] + b"Host: " + HOST.encode() + b"\r\n" + data[at:]
        return data

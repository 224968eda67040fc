"""What ``docs/proxies.md`` says of the fields of proxies, as a small program to hold the server to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Field = tuple[str, str]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR = re.compile(rf'({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*")')
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9\-._~!$&'()*+;=]+)(:[0-9]{0,5})?")
_PREFIX = re.compile(r"(?:/(?!\.{0,2}(?:/|$))[A-Za-z0-9\-._~!$&'()*+;=:@]+)+")


@dataclass
class Model:
    """What is known of a request whose peer is trusted.

    Args:
        trusted: Networks of proxies, and words for them.
        hops: How many proxies there are, 0 where their addresses tell.
    """

    trusted: list[str]
    hops: int = 0
    client: tuple[str, int] | None = None
    scheme: str = "http"
    host: str | None = None
    prefix: str = ""
    _depth: int = field(default=0, init=False)

    def read(self, fields: list[Field], own_host: str) -> None:
        """Read the fields of a request, whose Host has that value."""
        named: dict[str, list[str]] = {}
        for name, value in fields:
            named.setdefault(name.lower(), []).append(value.strip(" \t"))
        if any(name.startswith("x-forwarded-") for name in named):
            self._separate({name: ",".join(values).split(",") for name, values in named.items()}, own_host)
        elif "forwarded" in named:
            self._standard(named["forwarded"])

    def _separate(self, lists: dict[str, list[str]], own_host: str) -> None:
        for node in reversed(lists.get("x-forwarded-for", [])):
            if not self._step(node.strip(" \t")):
                break
        depth = self.hops or self._depth or 1

        def said(name: str) -> str:
            values = lists.get(f"x-forwarded-{name}", [""])
            return values[max(len(values) - depth, 0)].strip(" \t")

        self._take(said("proto"), said("host"))
        port, host = said("port"), self.host or own_host
        usual = 443 if self.scheme == "https" else 80
        bare = ":" not in host.rpartition("]")[2]
        if re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536 and int(port) != usual and bare:
            self.host = f"{host}:{int(port)}"
        prefix = said("prefix").removesuffix("/")
        if _PREFIX.fullmatch(prefix):
            self.prefix = prefix

    def _standard(self, lines: list[str]) -> None:
        found = None
        for pairs in _elements_backwards(lines):
            found = pairs
            if not self._step(pairs.get("for", "")):
                break
        if found is not None and self.hops in (0, self._depth):
            host = found.get("host", "")
            self._take(found.get("proto", ""), "" if "\\" in found.get("raw host", "") else host)

    def _step(self, node: str) -> bool:
        address, port = _node(node)
        self._depth += 1
        if address is not None and self.hops in (0, self._depth):
            self.client = (str(address), port)
        if self.hops:
            return self._depth < self.hops
        if address is None:
            return node in self.trusted
        return any("/" in item and address in ipaddress.ip_network(item) for item in self.trusted)

    def _take(self, scheme: str, host: str) -> None:
        self.scheme = {"https": "https", "wss": "https"}.get(scheme.lower(), "http")
        match = _HOST.fullmatch(host)
        if match and (not match[2] or match[2] == ":" or int(match[2][1:]) < 65536):
            literal = match[1].strip("[]")
            if not match[1].startswith("[") or isinstance(_address(literal), ipaddress.IPv6Address):
                self.host = host


def _elements_backwards(lines: list[str]) -> Iterator[dict[str, str]]:
    for line in reversed(lines):
        elements = _elements(line)
        if elements is None:
            return
        yield from reversed(elements)


def _elements(line: str) -> list[dict[str, str]] | None:
    """Return the elements of one field; ``None`` when it is malformed."""
    elements: list[dict[str, str]] = [{}]
    counted = [False]
    rest = line.lstrip(" \t")
    while rest:
        if rest[0] == ",":
            elements.append({})
            counted.append(False)
            rest = rest[1:].lstrip(" \t")
            continue
        if rest[0] == ";":
            rest = rest[1:].lstrip(" \t")
            continue
        match = _PAIR.match(rest)
        if match is None:
            return None
        name, value = match[1].lower(), match[2]
        if name in {"for", "proto", "host"} and name in elements[-1]:
            return None
        elements[-1][f"raw {name}"] = value
        elements[-1][name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        counted[-1] = True
        rest = rest[match.end() :].lstrip(" \t")
        if rest and rest[0] not in ",;":
            return None
    return [element for element, counts in zip(elements, counted, strict=True) if counts]


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _node(text: str) -> tuple[Address | None, int]:
    """Return address and port of a node, ``None`` for what is no address."""
    port = r"(?::(?:([0-9]{1,5})|_[A-Za-z0-9._\-]+))?"
    match = re.fullmatch(rf"\[([^\]]*:[^\]]*)\]{port}|([^:\[\]]*){port}", text)
    if match is None:
        return _address(text), 0
    number = int(match[2] or match[4] or 0)
    return (_address(match[1] or match[3]) if number < 65536 else None), number

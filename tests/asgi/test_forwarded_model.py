"""Fields of proxies made up at random, read by the server and by a model of what is documented."""

from __future__ import annotations

import random

import pytest
from forwarded_model import Field, Model
from harness import Serve
from test_forwarded import APP, host_of

NODES = (
    "192.0.2.1", "10.0.0.7", "10.0.0.8:80", "192.0.2.2:65535", "192.0.2.3:65536", "2001:db8::1", "[2001:db8::1]",
    "[2001:db8::2]:443", "[10.0.0.9]", "::ffff:10.0.0.6", "::ffff:192.0.2.9", "unknown", "_p", "_q", "192.0.2.1:_x",
    "", "a.example", "192.0.2", "[::1", "fe80::1%lo", ":80", "1.2.3.4:",
)  # fmt: skip
SCHEMES = ("http", "https", "ws", "WSS", "gopher", "")
HOSTS = ("a.example", "a.example:8443", "[::1]", "[::1]:80", "a b", "a/b", "a:99999", "", "[::g]", "a:")
PORTS = ("8443", "443", "80", "0", "65536", "", "x")
PREFIXES = ("/api", "/api/", "/", "/a/b", "//a", "/a//b", "/..", "/a/.", "a", "/a?b", "/%41", "")
SPACES = ("", " ", "\t", "  ")


def joined(chance: random.Random, values: tuple[str, ...]) -> str:
    """Return a list of some of the values."""
    texts = chance.choices(values, k=chance.choice((1, 1, 2, 3, 5)))
    return ("," + chance.choice(SPACES)).join(texts)


def element(chance: random.Random) -> str:
    """Return an element of Forwarded, mostly a good one."""
    pairs = []
    for name, values in (("for", NODES), ("proto", SCHEMES), ("host", HOSTS), ("by", NODES)):
        if chance.random() < 0.6:
            value = chance.choice(values)
            quoted = chance.random() < 0.9
            if quoted and value and chance.random() < 0.1:
                value = "\\" + value
            pairs.append(f'{chance.choice((name, name.title()))}="{value}"' if quoted else f"{name}={value}")
    if chance.random() < 0.1:
        pairs.append(chance.choice(("for=_p", "x", 'x="', 'x="a,b;c"', "", "proto=https")))
    return chance.choice((";", "; ", ";;")).join(pairs)


def made_up(chance: random.Random) -> list[Field]:
    """Return fields that a proxy and its client could have sent."""
    fields: list[Field] = []
    if chance.random() < 0.5:
        lines = range(chance.choice((1, 1, 2)))
        return [
            ("Forwarded", ", ".join(element(chance) for _ in range(chance.choice((1, 1, 2, 3)))))
            for _ in lines
        ]
    kinds = (("For", NODES), ("Proto", SCHEMES), ("Host", HOSTS), ("Port", PORTS), ("Prefix", PREFIXES))
    for name, values in kinds:
        for _ in range(chance.choice((0, 1, 1, 2))):
            fields.append((f"X-Forwarded-{name}", joined(chance, values)))
    chance.shuffle(fields)
    return fields


@pytest.mark.parametrize("hops", [0, 2])
def test_as_the_model_says(shared: Serve, library: str, hops: int) -> None:
    trusted = ["127.0.0.0/8", "10.0.0.0/8", "_p"]
    options = ["--forwarded-allow-ips", ",".join(trusted), "--limit-request-fields", "100"]
    server = shared(APP, library, *options, *(("--forwarded-hops", str(hops)) if hops else ()))
    chance = random.Random(f"{library} {hops}")
    with server.connect() as client:
        for _ in range(800):
            fields = made_up(chance)
            model = Model(trusted, hops)
            model.read(fields, "test.example")
            scope = client.ask("GET", "/x", fields=fields).json()
            peer = list(client.socket.getsockname())
            assert scope["client"] == (list(model.client) if model.client else peer), fields
            assert scope["scheme"] == model.scheme, fields
            assert host_of(scope) == [model.host or "test.example"], fields
            assert scope["root_path"] == model.prefix, fields

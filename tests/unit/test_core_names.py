"""The cache of the names of fields, with names that are chosen to collide in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, islice
from typing import Any

from core_bench import Bench, answer

PLACES, NAMES = 256, 50


def place(name: bytes) -> int:
    """Return where the cache keeps a name: its FNV-1a, folded."""
    value = 2166136261
    for byte in name:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return (value ^ value >> 8) % PLACES


def test_names_that_collide_displace_one_another(bench: Callable[..., Bench]) -> None:
    """Of all that fall on a place one is kept: what is looked up is compared with that one, and with no other."""
    seen: list[list[bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append([name for name, _ in scope["headers"][1:]])
        await answer(scope, receive, send)

    apart = list({place(name): name for name in (b"x-%d" % number for number in range(9999))}.values())
    apart = [name for name in apart if place(name) != place(b"host")][:NAMES]
    collide = list(
        islice((name for name in (b"y-%d" % number for number in count()) if place(name) == 7), NAMES)
    )
    at = bench(app)
    leader = at.leader()
    for names in (apart, apart, collide, collide):
        at.client.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % b"".join(b"%b: 1\r\n" % name for name in names)
        )
        while (trap := leader.send(None)) == "checkpoint":
            pass  # a slow machine lets others run in between
        assert trap == "wait"
        assert at.status() == 200 and seen[-1] == names
    assert all(first is second for first, second in zip(*seen[:2], strict=True))
    assert not any(first is second for first, second in zip(*seen[2:], strict=True))

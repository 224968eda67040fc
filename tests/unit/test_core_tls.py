"""The binding's part of TLS: what it is called with is looked at, and given back."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tricorn import _core, versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")

PLAIN: dict[str, Any] = {
    "password": None,
    "http2": False,
    "lowest": 0,
    "highest": 0,
    "ciphers": None,
    "suites": None,
    "clients": 0,
    "tells_faults": False,
    "authorities": None,
    "revoked": (),
    "more": (),
    "seed": None,
    "ticket_seconds": 3600,
}


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"seed": b"short"}, ValueError, "a seed has"),
        ({"clients": 3}, ValueError, "clients is 0, 1 or 2"),
        ({"more": ("pair",)}, TypeError, "pairs are tuples"),
        ({"more": ((b"one",),)}, TypeError, "pairs of bytes"),
        ({"more": ((b"a", b"b"),) * 5000}, ValueError, "certificates and lists at most"),
        ({"revoked": (b"list",) * 5000}, ValueError, "certificates and lists at most"),
        ({"revoked": ("list",)}, TypeError, "expected bytes"),
        ({"authorities": 1}, TypeError, "os.PathLike"),
        ({}, ValueError, "no-such-certificate"),
    ],
)
def test_faulty_arguments_are_told(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        _core.make_tls(certificate=b"no-such-certificate", key=b"no-such-key", **{**PLAIN, **changes})


def test_paths_are_given_back(tmp_path: Path) -> None:
    """Each call turns its paths into bytes, which must not stay."""
    arguments = {**PLAIN, "authorities": str(tmp_path / ("a" * 200))}

    def call() -> None:
        with contextlib.suppress(ValueError):
            _core.make_tls(certificate=b"no-such-certificate", key=b"no-such-key", **arguments)

    for _ in range(20):
        call()
    before = sys.getallocatedblocks()
    for _ in range(500):
        call()
    assert sys.getallocatedblocks() - before < 250

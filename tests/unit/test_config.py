"""The configuration: defaults, checks, and what the core gets of it."""

from __future__ import annotations

import dataclasses
import pickle
import re
import socket
from pathlib import Path
from typing import Any

import pytest

import tricorn
from tricorn.config import Config
from tricorn.errors import UsageError
from tricorn.option import Bind
from tricorn.options import OPTIONS

BASE = Path(__file__).resolve().parents[2] / "src" / "base"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never called here."""


def test_fields_are_the_options_of_the_table() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Config)}
    assert fields.pop("app") is dataclasses.MISSING
    assert fields.pop("workers") == 1  # where the environment does not say otherwise
    assert fields == {option.attribute: option.default for option in OPTIONS if option.attribute != "workers"}


def test_is_exported() -> None:
    assert tricorn.Config is Config
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", tricorn.__version__)


def test_is_comparable_and_checks_what_is_set() -> None:
    config = Config(app, port=0)
    assert config == Config(app, port=0)
    assert config != Config(app, port=1)
    config.port = 1
    assert config == Config(app, port=1)
    with pytest.raises(UsageError, match="port must be from 0 to 65535, not -1"):
        config.port = -1
    with pytest.raises(UsageError, match="timeout_notify"):
        config.timeout_notify = 5
    with pytest.raises(AttributeError, match="'Config' object has no attribute 'prot'"):
        config.prot  # noqa: B018


def test_pickles() -> None:
    config = Config("main:app", header=("a:b",), timeout_write=3)
    assert pickle.loads(pickle.dumps(config)) == config


def test_replace_checks_again() -> None:
    with pytest.raises(UsageError):
        dataclasses.replace(Config(app), port=-1)


@pytest.mark.parametrize("value", [None, 5, b"main:app", ["main:app"]])
def test_application_must_be_callable(value: Any) -> None:
    with pytest.raises(UsageError, match=r"cannot be called; pass"):
        Config(value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"port": 70000}, "port must be from 0 to 65535, not 70000"),
        ({"port": "80"}, "port must be a whole number, not '80'"),
        ({"lifespan": "maybe"}, "lifespan must be one of auto, on, off, not 'maybe'"),
        ({"timeout_write": 0}, "timeout_write must be from 0.001 to 86400, not 0"),
        ({"header": ("X: a\r\nb: c",)}, "header must not have control characters"),
        ({"uds": ""}, "uds must be the path of a socket, not empty"),
        ({"uds": "/tmp/s", "fd": 3}, "--uds and --fd"),
        ({"bind": ["a:b"]}, "bind must have a port from 0 to 65535 after the host, not 'b'"),
        ({"bind": ["a:1"], "port": 1}, "--bind and --port are both given, and each says where to listen"),
        ({"bind": ["a:1"], "uds": "s"}, "--bind and --uds are both given"),
        ({"bind": ["a:1"], "uds_mode": 0o600}, "--uds-mode is given without --uds"),
        ({"loop": "trio:run", "async_library": "trio"}, "--loop trio:run contradicts --async-library trio"),
        ({"uds_mode": 0o600}, "--uds-mode is given without --uds"),
        ({"loop": "trio", "async_library": "asyncio"}, "--loop trio contradicts --async-library asyncio"),
        ({"loop": "none", "async_library": "trio"}, "--loop none contradicts"),
        ({"ws": "wsprot"}, "ws must be one of auto, tricorn, wsproto"),
        ({"ws": None}, "ws must be a string, not None"),
        ({"ws_max_queue": None}, "ws_max_queue must be a whole number, not None"),
        ({"ws_deflate_window_bits": 8}, "ws_deflate_window_bits must be from 9 to 15, not 8"),
        ({"ws_shutdown_code": 1011}, "ws_shutdown_code must be one of 1012, 1001, not 1011"),
    ],
)
def test_refuses(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config(app, **options)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "library"),
    [
        ({}, "auto"),
        ({"loop": "trio"}, "trio"),
        ({"async_library": "curio"}, "curio"),
        ({"loop": "uvloop", "async_library": "uvloop"}, "uvloop"),
        ({"loop": "none"}, "asyncio"),
        ({"loop": "none", "async_library": "asyncio"}, "asyncio"),
        ({"loop": "auto", "async_library": "trio"}, "trio"),
        ({"loop": "package:factory"}, "asyncio"),
        ({"loop": "package:factory", "async_library": "asyncio"}, "asyncio"),
    ],
)
def test_library(options: dict[str, Any], library: str) -> None:
    assert Config(app, **options).library == library


def test_factory_of_the_loop() -> None:
    assert Config(app, loop="package:factory").loop_factory == "package:factory"
    assert Config(app, loop="uvloop").loop_factory == ""


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        ({}, [Bind("127.0.0.1", 8000)]),
        ({"uds": "s", "port": 5}, [Bind(path="s")]),
        ({"fd": 3}, [Bind(fd=3)]),
        ({"bind": ["[::]:1", "unix:a"], "uds_mode": 0o600}, [Bind("::", 1), Bind(path="a")]),
    ],
)
def test_addresses(options: dict[str, Any], addresses: list[Bind]) -> None:
    assert Config(app, **options).addresses == addresses


@pytest.mark.parametrize("host", ["", "::"])
def test_a_socket_for_every_address_is_for_both_families(host: str) -> None:
    with Config(app, host=host, port=0).bind_socket() as bound:
        bound.listen()
        socket.create_connection(("127.0.0.1", bound.getsockname()[1])).close()
    with Config(app, bind=["[::1]:0"]).bind_socket() as bound:
        assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def core_defaults() -> dict[str, int]:
    """The defaults that src/base/limits.c states, in its order."""
    text = (BASE / "limits.c").read_text(encoding="utf-8")
    return {name: int(value) for name, value in re.findall(r"\.(\w+) = (\d+),", text)}


def test_limits_are_the_fields_of_the_core() -> None:
    struct = (BASE / "limits.h").read_text(encoding="utf-8")
    fields = re.findall(r"^    uint(?:32|64)_t (\w+);", struct, flags=re.MULTILINE)
    assert len(fields) == 44
    assert set(Config(app).limits) == set(fields)


def test_limits_default_to_those_of_the_core() -> None:
    assert Config(app).limits == core_defaults()


def test_limits_are_all_settable() -> None:
    options: dict[str, Any] = {}
    for option in OPTIONS:
        if option.field:
            options[option.attribute] = 7.5 if option.kind == "seconds" else 70000
    limits = Config(app, **options).limits
    assert limits.pop("send_low") == 17500
    times = {name: value for name, value in limits.items() if name.endswith("_ms")}
    assert set(times.values()) == {7500}
    assert {value for name, value in limits.items() if name not in times} == {70000}


def test_limits_fit_the_core_at_their_largest() -> None:
    largest = {option.attribute: option.check(option.maximum) for option in OPTIONS if option.field}
    for name, value in Config(app, **largest).limits.items():
        assert isinstance(value, int)
        assert 0 <= value < (2**64 if name == "body" else 2**32)


def test_websockets() -> None:
    """What the core gets of them beside their limits."""
    assert Config(app).websockets == {
        "deflate": True,
        "no_context": False,
        "client_no_context": False,
        "window_bits": 12,
        "level": 2,
        "mem_level": 5,
        "min_size": 128,
        "streams": 128,
        "stop_code": 1012,
    }
    config = Config(
        app,
        ws="wsproto",
        ws_per_message_deflate=False,
        ws_deflate_no_context_takeover=True,
        ws_deflate_client_no_context_takeover=True,
        ws_deflate_window_bits=9,
        ws_deflate_level=1,
        ws_deflate_mem_level=2,
        ws_deflate_min_size=3,
        ws_shutdown_code=1001,
    )
    assert config.websockets is not None
    assert list(config.websockets.values()) == [False, True, True, 9, 1, 2, 3, 128, 1001]
    assert Config(app, ws="none").websockets is None


@pytest.mark.parametrize("off", [None, 0, 0.0])
def test_pings_can_be_switched_off(off: float | None) -> None:
    """In uvicorn's form as well, and a time-out without pings is no contradiction."""
    config = Config(app, ws_ping_interval=off, ws_ping_timeout=5, ws_handshake_timeout=off)
    assert config.ws_ping_interval == off
    limits = config.limits
    assert (limits["ws_ping_ms"], limits["ws_pong_ms"], limits["ws_handshake_ms"]) == (0, 5000, 0)


@pytest.mark.parametrize("ws", ["websockets", "websockets-sansio", "wsproto", "a.module:Class", Config])
def test_forms_of_ws(ws: Any) -> None:
    """Those of uvicorn; whether there is such a class is found out when the server begins."""
    assert Config(app, ws=ws).ws is ws


def test_keep_alive_of_zero_is_not_endless() -> None:
    assert Config(app, timeout_keep_alive=0).limits["keep_alive_ms"] == 1


def test_default_fields() -> None:
    config = Config(app, header=("X-A: b", "x-a:c"))
    assert config.default_fields == [(b"X-A", b"b"), (b"x-a", b"c")]


def test_server_and_date() -> None:
    config = Config(app)
    assert (config.server_name, config.sends_date) == (b"tricorn", True)
    config = Config(app, server_header=False, date_header=False)
    assert (config.server_name, config.sends_date) == (b"", False)


def test_own_server_and_date_replace_those_of_the_core() -> None:
    config = Config(app, header=("SERVER: mine", "date: today"))
    assert (config.server_name, config.sends_date) == (b"", False)
    assert config.default_fields == [(b"SERVER", b"mine"), (b"date", b"today")]


def test_knows_other_names() -> None:
    config = Config(app, headers=[("X-A", "b"), "c:d"], h11_max_incomplete_event_size=9000)
    assert config.header == ("X-A:b", "c:d")
    assert config.limit_request_head == 9000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prot": 1}, "there is no option 'prot'; did you mean 'port'?"),
        ({"zzzzzz": 1}, "there is no option 'zzzzzz'; 'tricorn --help' lists the options"),
        ({"header": [], "headers": []}, "header is given twice, once as headers; give it once"),
    ],
)
def test_refuses_names(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config(app, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("fields", ["X-A: b", 5, [("X:A", "b")], [("X-A",)], [("X-A", 1)], [["X-A", "b"]]])
def test_refuses_odd_fields(fields: Any) -> None:
    with pytest.raises(UsageError, match=r"^header must be"):
        Config(app, headers=fields)


def test_pair_cannot_smuggle_a_line() -> None:
    with pytest.raises(UsageError, match="control"):
        Config(app, headers=[("X-A", "b\r\nSet-Cookie: c")])

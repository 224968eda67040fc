"""The table of options: its own consistency, and how values are read and checked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tricorn import option as option_module
from tricorn.option import Bind, Option, is_every_address, parse_bind, parse_field
from tricorn.options import APP, BY_ATTRIBUTE, GROUPS, OPTIONS

ROOT = Path(__file__).resolve().parents[2]

UVICORN = {  # names and defaults that uvicorn's users know
    "host": "127.0.0.1",
    "port": 8000,
    "uds": None,
    "fd": None,
    "loop": "auto",
    "lifespan": "auto",
    "log-level": "info",
    "access-log": True,
    "use-colors": None,
    "server-header": True,
    "date-header": True,
    "header": (),
    "root-path": "",
    "limit-concurrency": None,
    "backlog": 2048,
    "timeout-keep-alive": 5,
    "timeout-graceful-shutdown": None,
    "app-dir": "",
    "factory": False,
    "ws": "auto",
    "ws-max-size": 16777216,
    "ws-max-queue": 32,
    "ws-ping-interval": 20.0,
    "ws-ping-timeout": 20.0,
    "ws-per-message-deflate": True,
}


def test_names_are_unique() -> None:
    names = [name for option in OPTIONS for name in (option.name, *option.aliases, *option.keywords)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("option", [APP, *OPTIONS], ids=lambda option: option.name)
def test_row_is_complete(option: Option) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", option.name)
    assert option.group in GROUPS
    assert option.help[0].isupper()
    assert option.help.endswith(".")
    assert option.kind == "flag" or not (option.negative or option.worded)
    assert option.negative or not option.worded
    assert option.kind == "seconds" or not option.ends
    if option.kind in ("integer", "octal", "seconds"):
        assert option.minimum is not None
        assert option.maximum is not None
    if option.field:
        assert option.attack
        assert option.answer


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_default_passes_its_own_check(option: Option) -> None:
    assert option.check(option.default) == option.default


@pytest.mark.parametrize(("name", "default"), UVICORN.items())
def test_uvicorns_names_and_defaults(name: str, default: Any) -> None:
    option = BY_ATTRIBUTE[name.replace("-", "_")]
    assert option.name == name
    assert option.default == default


def test_environment_names() -> None:
    assert APP.env == "TRICORN_APP"
    assert BY_ATTRIBUTE["async_library"].env == "TRICORN_ASYNC_LIBRARY"


def test_uvicorns_variables_are_asked_after_our_own() -> None:
    head = BY_ATTRIBUTE["limit_request_head"]
    assert head.variables == ("TRICORN_LIMIT_REQUEST_HEAD", "UVICORN_H11_MAX_INCOMPLETE_EVENT_SIZE")
    assert BY_ATTRIBUTE["port"].variables == ("TRICORN_PORT", "UVICORN_PORT")
    assert BY_ATTRIBUTE["bind"].variables == ("TRICORN_BIND",)
    assert Option("workers", "", "").variables[1:] == ("UVICORN_WORKERS", "WEB_CONCURRENCY")


def test_alias_of_uvicorn() -> None:
    head = BY_ATTRIBUTE["limit_request_head"]
    assert head.flags == ("--limit-request-head", "--h11-max-incomplete-event-size")


def test_signature() -> None:
    assert BY_ATTRIBUTE["access_log"].signature == "--access-log / --no-access-log"
    assert BY_ATTRIBUTE["factory"].signature == "--factory"
    assert BY_ATTRIBUTE["port"].signature == "--port INTEGER"
    assert BY_ATTRIBUTE["uds"].signature == "--uds PATH"
    assert BY_ATTRIBUTE["bind"].signature == "-b, --bind ADDRESS"
    assert BY_ATTRIBUTE["bind"].flags == ("--bind", "-b")


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("host", "127.0.0.1"),
        ("access_log", "on"),
        ("factory", "off"),
        ("timeout_keep_alive", "5"),
        ("header", ""),
        ("limit_concurrency", "no limit"),
        ("fd", "none"),
        ("ws_handshake_timeout", "0"),
        ("ws_deflate_no_context_takeover", "off"),
    ],
)
def test_default_text(attribute: str, text: str) -> None:
    assert BY_ATTRIBUTE[attribute].default_text == text


def test_description_names_the_attack() -> None:
    assert "Stops endless targets (414)." in BY_ATTRIBUTE["limit_request_line"].description
    assert "One of auto, on, off." in BY_ATTRIBUTE["lifespan"].description


@pytest.mark.parametrize(
    ("attribute", "text", "value"),
    [
        ("port", "0", 0),
        ("port", "65535", 65535),
        ("uds_mode", "600", 0o600),
        ("uds_mode", "0600", 0o600),
        ("uds_mode", "0o600", 0o600),
        ("timeout_keep_alive", "0", 0.0),
        ("timeout_keep_alive", "2.5", 2.5),
        ("timeout_graceful_shutdown", "1e1", 10.0),
        ("lifespan", "off", "off"),
        ("header", "X-A: b", "X-A: b"),
        ("limit_request_body", str(2**64 - 1), 2**64 - 1),
        ("uds", "/" + 53 * "é", "/" + 53 * "é"),
        ("host", "", ""),
        ("host", "::1", "::1"),
        ("root_path", "/api", "/api"),
        ("loop", "package.module:factory", "package.module:factory"),
        ("bind", "[::1]:80,proxy", "[::1]:80,proxy"),
        ("ws", "websockets-sansio", "websockets-sansio"),
        ("ws", "package.module:Class", "package.module:Class"),
        ("ws_ping_interval", "none", 0.0),
        ("ws_ping_interval", "0", 0.0),
        ("ws_max_fragments", "0", 0),
        ("ws_deflate_window_bits", "9", 9),
        ("ws_shutdown_code", "1001", 1001),
    ],
)
def test_parse(attribute: str, text: str, value: Any) -> None:
    parsed = BY_ATTRIBUTE[attribute].parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("attribute", "text", "problem"),
    [
        ("port", "-1", "from 0 to 65535, not -1"),
        ("port", "65536", "from 0 to 65535"),
        ("port", "http", "a whole number, not 'http'"),
        ("port", "80.5", "a whole number"),
        ("port", "", "a whole number"),
        ("uds_mode", "888", "an octal number"),
        ("uds_mode", "1777", "from 0 to 777, not 1777"),
        ("timeout_keep_alive", "-0.1", "from 0 to 86400, not -0.1"),
        ("timeout_keep_alive", "nan", "from 0 to 86400"),
        ("timeout_keep_alive", "inf", "from 0 to 86400"),
        ("timeout_request_head", "0", "from 0.001 to 86400, not 0"),
        ("timeout_write", "5s", "a number of seconds, not '5s'"),
        ("lifespan", "yes", "one of auto, on, off, not 'yes'"),
        ("log_level", "INFO", "one of critical"),
        ("async_library", "twisted", "one of auto, asyncio, uvloop, trio, curio"),
        ("host", "127.0.0.1:80", "without brackets and port"),
        ("host", "[::1]", "without brackets"),
        ("host", "a b", "white space"),
        ("host", "a\0b", "NUL"),
        ("uds", "/tmp/\0", "NUL"),
        ("uds", "", "not empty"),
        ("uds", "/" + 53 * "é" + "a", "at most 107 bytes long"),
        ("root_path", "api", "give '/api'"),
        ("root_path", "/api/", "give '/api'"),
        ("root_path", "/", "give an empty string"),
        ("limit_request_body", str(2**64), "from 0 to"),
        ("limit_send_buffer", "10", "from 4096 to"),
        ("header", "X-A", "Name:Value"),
        ("loop", "uvlop", "one of auto, asyncio, uvloop, trio, curio, none, or MODULE:FUNCTION, not 'uvlop'"),
        ("loop", ":factory", "or MODULE:FUNCTION"),
        ("loop", "zuvloop", "must not be zuvloop, uvicorn's experiment in Zig: give uvloop"),
        ("http", "zttp", "must not be zttp"),
        ("ws", "wsprot", "one of auto, tricorn, wsproto, websockets, websockets-sansio, none, or a class as"),
        ("ws", "module:", "or a class as MODULE:CLASS"),
        ("ws_max_size", "0", "from 1 to 4294967295, not 0"),
        ("ws_max_queue", "0", "from 1 to"),
        ("ws_ping_interval", "-1", "from 0 to 86400"),
        ("ws_close_timeout", "0", "from 0.001 to"),
        ("ws_close_timeout", "none", "a number of seconds"),
        ("ws_deflate_window_bits", "8", "from 9 to 15, not 8"),
        ("ws_deflate_window_bits", "16", "from 9 to 15"),
        ("ws_deflate_level", "0", "from 1 to 9"),
        ("ws_deflate_mem_level", "10", "from 1 to 9"),
        ("ws_shutdown_code", "1005", "one of 1012, 1001, not 1005"),
        ("ws_shutdown_code", "1000", "from 1001 to 1012"),
    ],
)
def test_parse_refuses(attribute: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as caught:
        BY_ATTRIBUTE[attribute].parse(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("port", "8000"),
        ("port", True),
        ("port", 8000.0),
        ("port", None),
        ("timeout_keep_alive", True),
        ("timeout_keep_alive", "5"),
        ("access_log", 1),
        ("access_log", None),
        ("host", None),
        ("host", b"127.0.0.1"),
        ("header", "X-A: b"),
        ("header", {"X-A": "b"}),
        ("header", [("X-A", "b")]),
        ("header", None),
        ("ws", None),
        ("ws", 5),
        ("http", str),
        ("ws_close_timeout", None),
        ("ws_shutdown_code", "1012"),
    ],
)
def test_check_refuses_wrong_types(attribute: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^must be "):
        BY_ATTRIBUTE[attribute].check(value)


def test_check_normalises() -> None:
    assert BY_ATTRIBUTE["header"].check(["a:b", "c:d"]) == ("a:b", "c:d")
    keep_alive = BY_ATTRIBUTE["timeout_keep_alive"].check(7)
    assert (keep_alive, type(keep_alive)) == (7.0, float)
    assert BY_ATTRIBUTE["use_colors"].check(None) is None


def test_registered_backend_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        option_module, "_plugins", lambda group: {"tonio"} if group == "tricorn.backends" else set()
    )
    assert BY_ATTRIBUTE["async_library"].parse("tonio") == "tonio"
    assert BY_ATTRIBUTE["loop"].parse("tonio") == "tonio"
    with pytest.raises(ValueError, match="must be one of"):
        BY_ATTRIBUTE["lifespan"].parse("tonio")


@pytest.mark.parametrize(
    ("value", "limit"), [(5.0, 5000), (0.0, 1), (0.0004, 1), (0.0016, 2), (86400.0, 86_400_000)]
)
def test_limit_of_seconds_is_never_zero(value: float, limit: int) -> None:
    assert BY_ATTRIBUTE["timeout_keep_alive"].limit(value) == limit


@pytest.mark.parametrize(("value", "limit"), [(None, 0), (0.0, 0), (0.0004, 1), (2.5, 2500)])
def test_limit_of_what_can_be_switched_off(value: float | None, limit: int) -> None:
    for name in ("ws_ping_interval", "ws_ping_timeout", "ws_handshake_timeout"):
        option = BY_ATTRIBUTE[name]
        assert option.limit(option.check(value)) == limit


def test_a_class_in_place_of_a_name() -> None:
    """Is taken where Python may give one."""
    assert BY_ATTRIBUTE["ws"].check(Option) is Option


def test_limit_of_none_is_no_limit() -> None:
    assert BY_ATTRIBUTE["limit_concurrency"].limit(None) == 0
    assert BY_ATTRIBUTE["limit_concurrency"].limit(7) == 7


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("X-A:b", (b"X-A", b"b")),
        ("X-A: \t b c\t ", (b"X-A", b"b c")),
        ("X-A:", (b"X-A", b"")),
        ("x:a:b", (b"x", b"a:b")),
        ("x:a\tb", (b"x", b"a\tb")),
        ("x:caf\xe9", (b"x", b"caf\xe9")),
        ("!#$%&'*+-.^_`|~1:v", (b"!#$%&'*+-.^_`|~1", b"v")),
    ],
)
def test_parse_field(text: str, field: tuple[bytes, bytes]) -> None:
    assert parse_field(text) == field


@pytest.mark.parametrize(
    "text",
    [
        "",
        "X-A",
        ":b",
        "X A:b",
        " X-A:b",
        "X-A :b",
        "X-\xc4:b",
        "X-A\n:b",
        "X-A:b\r\nSet-Cookie: c",
        "X-A:b\nc",
        "X-A:b\rc",
        "X-A:b\0",
        "X-A:\x7f",
        "X-A:\u20ac",
        "Content-Length: 5",
        "transfer-encoding: chunked",
        "Connection: close",
    ],
)
def test_parse_field_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        parse_field(text)


@pytest.mark.parametrize("cut", [code for code in range(32) if chr(code) != "\t"])
def test_no_control_passes_in_a_value(cut: int) -> None:
    """HTAB alone is allowed inside a value (RFC 9110 §5.5)."""
    with pytest.raises(ValueError, match="control"):
        parse_field(f"X-A:b{chr(cut)}c")


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:80", Bind("127.0.0.1", 80)),
        ("localhost", Bind("localhost", 8000)),
        (":9000", Bind("", 9000)),
        ("[::1]:443", Bind("::1", 443)),
        ("[::]", Bind("::", 8000)),
        ("example.org:0", Bind("example.org", 0)),
        ("unix:/run/a.sock", Bind(path="/run/a.sock")),
        ("unix:a:b.sock", Bind(path="a:b.sock")),
        ("fd://3", Bind(fd=3)),
    ],
)
def test_bind(text: str, bind: Bind) -> None:
    assert parse_bind(text) == bind


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must be host:port"),
        ("a b:80", "must be host:port"),
        ("/run/a.sock", "must be host:port, unix:PATH or fd://NUMBER"),
        ("http://a:80", "must be host:port"),
        ("::1:80", "an IPv6 address in brackets, as in [::1]:8000, not '::1:80'"),
        ("[::1", "an IPv6 address between [ and ]"),
        ("[nonsense]:80", "an IPv6 address between [ and ]"),
        ("[127.0.0.1]", "an IPv6 address between [ and ]"),
        ("[::1]80", "an IPv6 address between [ and ]"),
        ("a:", "a port from 0 to 65535 after the host, not ''"),
        ("a:65536", "a port from 0 to 65535"),
        ("a:-1", "a port from 0 to 65535"),
        ("a:http", "a port from 0 to 65535"),
        ("unix:", "not empty"),
        ("unix:/" + 107 * "a", "at most 107 bytes"),
        ("fd://", "the number of a descriptor"),
        ("fd://x", "the number of a descriptor"),
        ("fd://2147483648", "the number of a descriptor"),
        ("a:80,what", "must have proxy after the comma, not 'what'"),
        ("a:80,", "after the comma, not ''"),
    ],
)
def test_bind_refuses(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as caught:
        BY_ATTRIBUTE["bind"].parse(text)
    assert problem in str(caught.value)


def test_bind_with_a_property() -> None:
    assert parse_bind("[::1]:80,proxy") == Bind("::1", 80, proxy=True)
    assert parse_bind("unix:a,proxy") == Bind(path="a", proxy=True)


@pytest.mark.parametrize(
    ("host", "every"), [("", True), ("::", True), ("0::0", True), ("::1", False), ("0.0.0.0", False)]
)
def test_hosts_that_are_every_address(host: str, every: bool) -> None:
    assert is_every_address(host) is every


def test_pages_are_current() -> None:
    tool = ROOT / "tools" / "gen_options.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_page_has_every_option() -> None:
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    for option in OPTIONS:
        assert f"`{option.signature}`" in page
        assert option.env in page


def test_page_has_every_limit() -> None:
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    for option in OPTIONS:
        assert (f"`--{option.name}` | {option.default_text}" in page) is bool(option.field)


def test_generator_refuses_other_arguments() -> None:
    tool = ROOT / "tools" / "gen_options.py"
    done = subprocess.run([sys.executable, tool, "--what"], capture_output=True, text=True, check=False)
    assert done.returncode == 2

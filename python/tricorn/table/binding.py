"""Where the server listens."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option, check_bind, check_host, check_socket_path

GROUP: Final = "Where to listen"

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "host",
        GROUP,
        "The address or name to listen on; :: and an empty one are every IPv6 and IPv4 address.",
        default="127.0.0.1",
        rule=check_host,
    ),
    Option(
        "port",
        GROUP,
        "The port; 0 takes any free one.",
        "integer",
        8000,
        minimum=0,
        maximum=65535,
    ),
    Option(
        "bind",
        GROUP,
        "Listen here instead: HOST:PORT, [ADDRESS]:PORT, HOST, :PORT, unix:PATH or fd://NUMBER; ,proxy behind it "
        "where proxies begin connections with a PROXY header. May be given several times.",
        default=(),
        metavar="ADDRESS",
        short="b",
        multiple=True,
        rule=check_bind,
    ),
    Option(
        "uds",
        GROUP,
        "Listen on a Unix socket at this path instead.",
        metavar="PATH",
        rule=check_socket_path,
    ),
    Option(
        "uds-mode",
        GROUP,
        "The permissions of the Unix socket, octal.",
        "octal",
        unset="those of the file in its place, or 666",
        metavar="MODE",
        minimum=0,
        maximum=0o777,
    ),
    Option(
        "fd",
        GROUP,
        "Listen on this inherited descriptor of a stream socket instead.",
        "integer",
        minimum=0,
        maximum=2**31 - 1,
        metavar="NUMBER",
    ),
    Option(
        "backlog",
        GROUP,
        "The connections that wait in the kernel to be accepted.",
        "integer",
        2048,
        minimum=1,
        maximum=2**31 - 1,
        metavar="NUMBER",
    ),
)

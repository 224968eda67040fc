"""What is served, and on which library."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option, check_loop, check_parser, check_root_path

GROUP: Final = "The application"

APP: Final = Option(
    "app",
    GROUP,
    "The application, as module:attribute; the attribute may be dotted (main:api.app).",
    metavar="APP",
)

_LIBRARIES: Final = ("auto", "asyncio", "uvloop", "trio", "curio")
_PLUGINS: Final = "tricorn.backends"

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "async-library",
        GROUP,
        "The library that runs the application; auto is the one that it declares, else uvloop where it is installed, "
        "else asyncio; none runs one that awaits nothing but receive() and send().",
        default="auto",
        choices=(*_LIBRARIES, "none"),
        plugins=_PLUGINS,
        metavar="NAME",
    ),
    Option(
        "loop",
        GROUP,
        "The same as --async-library; none means asyncio. A function or class that makes a loop of asyncio's may be "
        "named as well.",
        default="auto",
        choices=(*_LIBRARIES, "none"),
        imports="FUNCTION",
        plugins=_PLUGINS,
        rule=check_loop,
        metavar="NAME",
    ),
    Option(
        "http",
        GROUP,
        "What reads requests: the parser in C (tricorn, which is also auto), h11, httptools, or a class as"
        " MODULE:CLASS.",
        default="auto",
        metavar="NAME",
        rule=check_parser,
    ),
    Option(
        "interface",
        GROUP,
        "How the application is called; auto finds out. A WSGI application runs in threads.",
        default="auto",
        choices=("auto", "asgi3", "asgi2", "wsgi"),
        metavar="NAME",
    ),
    Option(
        "wsgi-threads",
        GROUP,
        "How many requests a WSGI application works on at once, each in a thread; the others wait.",
        "integer",
        32,
        metavar="NUMBER",
        minimum=1,
        maximum=10_000,
    ),
    Option(
        "lifespan",
        GROUP,
        "Whether the application is told of start and stop; auto goes on without if it does not want that.",
        default="auto",
        choices=("auto", "on", "off"),
        metavar="MODE",
    ),
    Option(
        "cancel-on-disconnect",
        GROUP,
        "Cancel a request whose client has gone, as the async library cancels a task.",
        "flag",
        False,
        negative=True,
    ),
    Option(
        "root-path",
        GROUP,
        "The path below which a proxy has mounted the application, such as /api.",
        default="",
        metavar="PATH",
        rule=check_root_path,
    ),
    Option(
        "app-dir",
        GROUP,
        "The directory that modules are looked for in first; empty is the current one.",
        default="",
        metavar="DIRECTORY",
    ),
    Option(
        "factory", GROUP, "APP is a function without arguments that returns the application.", "flag", False
    ),
    Option(
        "env-file",
        GROUP,
        "A file of NAME=VALUE lines for the application's environment; what is set already stays.",
        metavar="PATH",
    ),
    Option(
        "reset-contextvars",
        GROUP,
        "Begin each request with no context variable set, not even by the application's start-up.",
        "flag",
        False,
        negative=True,
    ),
)

"""Every option of the server in one table.

The command line, the environment variables, the defaults of :class:`tricorn.config.Config` and the reference
pages in ``docs/`` all come from :data:`OPTIONS`. To add an option, add a row here and a field to ``Config``.
"""

from __future__ import annotations

from typing import Any, Final

from tricorn.option import (
    Option,
    check_host,
    check_parser,
    check_root_path,
    check_socket_path,
    check_websockets,
    parse_field,
)

_U32: Final = 2**32 - 1
_U64: Final = 2**64 - 1
_DAY: Final = 86_400.0

BINDING: Final = "Where to listen"
RUNNING: Final = "The application"
LOGGING: Final = "Logging"
FIELDS: Final = "Fields of every answer"
TIMEOUTS: Final = "Deadlines, in seconds"
LIMITS: Final = "Limits"
WEBSOCKETS: Final = "WebSockets"
GROUPS: Final = (BINDING, RUNNING, LOGGING, FIELDS, TIMEOUTS, LIMITS, WEBSOCKETS)

APP: Final = Option(
    "app",
    RUNNING,
    "The application, as module:attribute; the attribute may be dotted (main:api.app).",
    metavar="APP",
)

_LIBRARIES: Final = ("auto", "asyncio", "uvloop", "trio", "curio")
_PLUGINS: Final = "tricorn.backends"


def _timeout(name: str, help: str, default: float, **more: Any) -> Option:
    defaults: dict[str, Any] = {"minimum": 0.001, "maximum": _DAY}
    return Option(name, TIMEOUTS, help, "seconds", default, metavar="SECONDS", **(defaults | more))


def _limit(name: str, help: str, default: int, group: str = LIMITS, **more: Any) -> Option:
    defaults: dict[str, Any] = {"minimum": 1, "maximum": _U32, "metavar": "BYTES"}
    return Option(name, group, help, "integer", default, **(defaults | more))


def _pause(name: str, help: str, default: float, **more: Any) -> Option:
    """A time of WebSockets that 0 switches off."""
    defaults: dict[str, Any] = {"minimum": 0, "maximum": _DAY, "metavar": "SECONDS", "ends": True}
    return Option(name, WEBSOCKETS, help, "seconds", default, **(defaults | more))


OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "host",
        BINDING,
        "The address or name to listen on; an empty one is every IPv4 and IPv6 address.",
        default="127.0.0.1",
        rule=check_host,
    ),
    Option(
        "port",
        BINDING,
        "The port; 0 takes any free one.",
        "integer",
        8000,
        minimum=0,
        maximum=65535,
    ),
    Option(
        "uds",
        BINDING,
        "Listen on a Unix socket at this path instead.",
        metavar="PATH",
        rule=check_socket_path,
    ),
    Option(
        "uds-mode",
        BINDING,
        "The permissions of the Unix socket, octal.",
        "octal",
        unset="those of the file in its place, or 666",
        metavar="MODE",
        minimum=0,
        maximum=0o777,
    ),
    Option(
        "fd",
        BINDING,
        "Listen on this inherited descriptor of a stream socket instead.",
        "integer",
        minimum=0,
        maximum=2**31 - 1,
        metavar="NUMBER",
    ),
    Option(
        "backlog",
        BINDING,
        "The connections that wait in the kernel to be accepted.",
        "integer",
        2048,
        minimum=1,
        maximum=2**31 - 1,
        metavar="NUMBER",
    ),
    Option(
        "async-library",
        RUNNING,
        "The library that runs the application; auto is the one that it declares, else uvloop where it is installed, "
        "else asyncio; none runs one that awaits nothing but receive() and send().",
        default="auto",
        choices=(*_LIBRARIES, "none"),
        plugins=_PLUGINS,
        metavar="NAME",
    ),
    Option(
        "loop",
        RUNNING,
        "The same as --async-library; none means asyncio.",
        default="auto",
        choices=(*_LIBRARIES, "none"),
        plugins=_PLUGINS,
        metavar="NAME",
    ),
    Option(
        "http",
        RUNNING,
        "What reads requests: the parser in C (tricorn, which is also auto), h11, httptools, or a class as"
        " MODULE:CLASS.",
        default="auto",
        metavar="NAME",
        rule=check_parser,
    ),
    Option(
        "lifespan",
        RUNNING,
        "Whether the application is told of start and stop; auto goes on without if it does not want that.",
        default="auto",
        choices=("auto", "on", "off"),
        metavar="MODE",
    ),
    Option(
        "cancel-on-disconnect",
        RUNNING,
        "Cancel a request whose client has gone, as the async library cancels a task.",
        "flag",
        False,
        negative=True,
    ),
    Option(
        "root-path",
        RUNNING,
        "The path below which a proxy has mounted the application, such as /api.",
        default="",
        metavar="PATH",
        rule=check_root_path,
    ),
    Option(
        "app-dir",
        RUNNING,
        "The directory that modules are looked for in first; empty is the current one.",
        default="",
        metavar="DIRECTORY",
    ),
    Option(
        "factory", RUNNING, "APP is a function without arguments that returns the application.", "flag", False
    ),
    Option(
        "log-level",
        LOGGING,
        "The least severe messages that are logged.",
        default="info",
        choices=("critical", "error", "warning", "info", "debug", "trace"),
        metavar="LEVEL",
    ),
    Option(
        "access-log", LOGGING, "Log a line for each request, to standard output.", "flag", True, negative=True
    ),
    Option(
        "use-colors",
        LOGGING,
        "Colour the log.",
        "flag",
        unset="on for terminals, unless NO_COLOR is set",
        negative=True,
    ),
    Option("server-header", FIELDS, "Send a Server field.", "flag", True, negative=True),
    Option("date-header", FIELDS, "Send a Date field.", "flag", True, negative=True),
    Option(
        "header",
        FIELDS,
        "A further field; may be given several times. A Server or Date field replaces the server's own.",
        default=(),
        metavar="NAME:VALUE",
        multiple=True,
        keywords=("headers",),
        rule=parse_field,
    ),
    _timeout(
        "timeout-keep-alive",
        "How long a connection may be idle between requests.",
        5.0,
        minimum=0,
        field="keep_alive_ms",
        attack="parked connections",
        answer="closed",
    ),
    _timeout(
        "timeout-first-request",
        "From connecting to the end of the first request's head.",
        30.0,
        field="first_head_ms",
        attack="connections that stay silent",
        answer="closed, 408 once a byte came",
    ),
    _timeout(
        "timeout-request-head",
        "From the first byte of a request's head to its last; further bytes do not restart it.",
        20.0,
        field="head_ms",
        attack="slowloris, heads sent byte by byte",
        answer="408",
    ),
    _timeout(
        "timeout-request-body",
        "How long no byte may come of a body that the application waits for.",
        30.0,
        field="body_ms",
        attack="stalled uploads",
        answer="408",
    ),
    _timeout(
        "timeout-write",
        "How long a client may take no byte of an answer.",
        30.0,
        field="write_ms",
        attack="readers that stall to hold memory",
        answer="closed",
    ),
    _timeout(
        "timeout-linger",
        "How long a closing connection is read from, so that no reset eats the answer.",
        2.0,
        field="linger_ms",
        attack="clients that never stop sending",
        answer="closed",
    ),
    Option(
        "request-timeout",
        TIMEOUTS,
        "How long an answer may take from the end of the request's head: then the request is cancelled, and"
        " answered with 504 if nothing was sent.",
        "seconds",
        unset="no limit",
        metavar="SECONDS",
        minimum=0.001,
        maximum=_DAY,
        field="request_ms",
        attack="requests that never end",
        answer="504, or closed within an answer",
    ),
    Option(
        "timeout-graceful-shutdown",
        TIMEOUTS,
        "How long requests may go on after the first signal; then their tasks are cancelled.",
        "seconds",
        unset="no limit",
        metavar="SECONDS",
        minimum=0,
        maximum=_DAY,
    ),
    Option(
        "limit-concurrency",
        LIMITS,
        "Requests that the application works on at once.",
        "integer",
        unset="no limit",
        metavar="NUMBER",
        minimum=1,
        maximum=_U32,
        field="exchanges",
        attack="floods that overload the application",
        answer="503",
    ),
    _limit(
        "limit-connections",
        "Open connections; 0 is no limit.",
        0,
        minimum=0,
        metavar="NUMBER",
        field="connections",
        attack="floods that use up descriptors and memory",
        answer="503",
    ),
    _limit(
        "limit-request-line",
        "Bytes of a request line.",
        16384,
        minimum=64,
        field="request_line",
        attack="endless targets",
        answer="414",
    ),
    _limit(
        "limit-request-head",
        "Bytes of a request line and its field lines.",
        65536,
        minimum=256,
        aliases=("h11-max-incomplete-event-size",),
        field="head",
        attack="endless heads",
        answer="431",
    ),
    _limit(
        "limit-request-fields",
        "Field lines of a request.",
        100,
        metavar="NUMBER",
        field="fields",
        attack="floods of fields that fill lists and hash tables",
        answer="431",
    ),
    _limit(
        "limit-request-body",
        "Bytes of a request's body; 0 is no limit.",
        0,
        minimum=0,
        maximum=_U64,
        field="body",
        attack="bodies that fill memory or a disk",
        answer="413",
    ),
    _limit(
        "min-request-body-rate",
        "Bytes a second that a body which is waited for must bring, over --timeout-request-body; 0 is any.",
        128,
        minimum=0,
        metavar="RATE",
        field="body_rate",
        attack="dribbled uploads",
        answer="408",
    ),
    _limit(
        "limit-trailers",
        "Bytes of the trailer section after a chunked body.",
        8192,
        minimum=0,
        field="trailers",
        attack="endless trailers",
        answer="431",
    ),
    _limit(
        "limit-chunk-extensions",
        "Bytes of chunk extensions in one body.",
        4096,
        minimum=0,
        field="chunk_ext",
        attack="bytes that never become data",
        answer="400",
    ),
    _limit(
        "limit-body-buffer",
        "Bytes of a body that wait for the application before reading pauses.",
        65536,
        minimum=1024,
        field="body_buffer",
        attack="uploads that fill memory",
        answer="reading pauses",
    ),
    _limit(
        "limit-send-buffer",
        "Bytes of an answer that wait for a slow client before send() waits, too; it goes on at a quarter.",
        262144,
        minimum=4096,
        field="send_high",
        attack="slow readers that fill memory",
        answer="send() waits",
    ),
    _limit(
        "limit-drain",
        "Bytes of a body nobody read that are dropped to keep the connection; above that it is closed.",
        65536,
        minimum=0,
        field="drain",
        attack="bodies sent only to be thrown away",
        answer="closed",
    ),
    Option(
        "ws",
        WEBSOCKETS,
        "What reads and writes the frames: the code in C (tricorn, which is also auto), wsproto, websockets (also"
        " websockets-sansio), or a class as MODULE:CLASS; with none a request for a WebSocket is one like any other.",
        default="auto",
        metavar="NAME",
        makers=True,
        rule=check_websockets,
    ),
    _limit(
        "ws-max-size",
        "Bytes of a message, after it was inflated.",
        16 * 1024 * 1024,
        WEBSOCKETS,
        field="ws_message",
        attack="messages that fill memory, and decompression bombs",
        answer="1009",
    ),
    _limit(
        "ws-max-queue",
        "Messages that wait for receive() before reading pauses.",
        32,
        WEBSOCKETS,
        metavar="NUMBER",
        field="ws_queue",
        attack="floods of messages that fill memory",
        answer="reading pauses",
    ),
    _limit(
        "ws-max-queue-bytes",
        "The same in bytes; the message that exceeds them is still taken.",
        1024 * 1024,
        WEBSOCKETS,
        field="ws_queue_bytes",
        attack="large messages that fill memory",
        answer="reading pauses",
    ),
    _limit(
        "ws-max-fragments",
        "Frames of a message; 0 is no limit.",
        131072,
        WEBSOCKETS,
        minimum=0,
        metavar="NUMBER",
        field="ws_fragments",
        attack="messages in frames without end and without bytes",
        answer="1008",
    ),
    _limit(
        "ws-max-control-rate",
        "Pings and pongs that a client may send in a second; 0 is any number.",
        1000,
        WEBSOCKETS,
        minimum=0,
        metavar="NUMBER",
        field="ws_controls",
        attack="floods of pings",
        answer="1008",
    ),
    _pause(
        "ws-ping-interval",
        "Seconds between two pings of an open WebSocket; 0 or none sends none.",
        20.0,
        field="ws_ping_ms",
        attack="connections that are long dead, together with --ws-ping-timeout",
        answer="pings",
    ),
    _pause(
        "ws-ping-timeout",
        "Seconds from a ping to a sign of life; 0 or none is no limit.",
        20.0,
        field="ws_pong_ms",
        attack="clients that have gone without a word",
        answer="closed, 1011",
    ),
    _pause(
        "ws-handshake-timeout",
        "Seconds that the application has to accept or refuse; 0 or none is no limit.",
        0.0,
        field="ws_handshake_ms",
        attack="handshakes that nobody answers",
        answer="504",
    ),
    Option(
        "ws-close-timeout",
        WEBSOCKETS,
        "Seconds from our close frame to the client's.",
        "seconds",
        10.0,
        metavar="SECONDS",
        minimum=0.001,
        maximum=_DAY,
        field="ws_close_ms",
        attack="clients that never finish the closing handshake",
        answer="closed",
    ),
    Option(
        "ws-per-message-deflate",
        WEBSOCKETS,
        "Compress messages where the client can (RFC 7692).",
        "flag",
        True,
        negative=True,
        worded=True,
    ),
    Option(
        "ws-deflate-level",
        WEBSOCKETS,
        "How hard zlib tries: 1 is fast, 9 is small; 2 takes less than half the time of 6, and sends a sixth more.",
        "integer",
        2,
        metavar="LEVEL",
        minimum=1,
        maximum=9,
    ),
    Option(
        "ws-deflate-mem-level",
        WEBSOCKETS,
        "The memory of zlib's compressor: about 2^(level + 9) bytes beside its window.",
        "integer",
        5,
        metavar="LEVEL",
        minimum=1,
        maximum=9,
    ),
    Option(
        "ws-deflate-window-bits",
        WEBSOCKETS,
        "The window of compression is 2^bits bytes: ours, and the client's where it lets us choose.",
        "integer",
        12,
        metavar="BITS",
        minimum=9,
        maximum=15,
    ),
    Option(
        "ws-deflate-min-size",
        WEBSOCKETS,
        "Messages of fewer bytes are sent as they are.",
        "integer",
        128,
        metavar="BYTES",
        minimum=0,
        maximum=2**31 - 1,
    ),
    Option(
        "ws-deflate-no-context-takeover",
        WEBSOCKETS,
        "Compress each message by itself: less memory, larger messages.",
        "flag",
        False,
    ),
    Option(
        "ws-deflate-client-no-context-takeover",
        WEBSOCKETS,
        "Ask clients to compress each message by itself.",
        "flag",
        False,
    ),
    Option(
        "ws-shutdown-code",
        WEBSOCKETS,
        "The close code that clients get when the server stops: 1012 is a restart, 1001 that it goes away.",
        "integer",
        1012,
        choices=("1012", "1001"),
        metavar="CODE",
        minimum=1001,
        maximum=1012,
    ),
)

BY_ATTRIBUTE: Final[dict[str, Option]] = {option.attribute: option for option in OPTIONS}


def default(attribute: str) -> Any:
    """Return the default of the option whose name in Python is ``attribute``."""
    return BY_ATTRIBUTE[attribute].default

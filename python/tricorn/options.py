"""Every option of the server in one table.

The command line, the environment variables, the defaults of :class:`tricorn.config.Config` and the reference
pages in ``docs/`` all come from :data:`OPTIONS`. To add an option, add a row here and a field to ``Config``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, Literal

ENV_PREFIX: Final = "TRICORN_"

Kind = Literal["text", "integer", "octal", "seconds", "flag"]

_U32: Final = 2**32 - 1
_U64: Final = 2**64 - 1
_DAY: Final = 86_400.0
_SOCKET_PATH: Final = 107  # bytes of sockaddr_un.sun_path on Linux, without the final NUL


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names, its value and its documentation.

    Attributes:
        name: The name on the command line, without the leading dashes.
        group: The heading under which the help lists it.
        help: One or two sentences: what the option does, with the unit of its value.
        kind: How its text is read: ``seconds`` is a decimal number, ``flag`` takes no value.
        default: The value when the option is not given; ``None`` is explained by ``unset``.
        unset: What happens when the value is ``None``, in the words that the help shows as the default.
        metavar: What stands for the value in the help.
        choices: The only values allowed, if there are any.
        plugins: An entry-point group whose names are allowed besides ``choices``.
        multiple: Whether the option may be given several times; its value is a tuple then.
        negative: Whether a flag has a ``--no-`` form.
        aliases: Further names on the command line and in Python.
        keywords: Further names in Python only.
        minimum, maximum: The range of a number, both ends included.
        rule: A further check of one value; raises ``ValueError`` with the problem.
        field: The field of the core's ``tri_limits`` that the value fills.
        attack: What the limit stops, for an option that has a ``field``.
        answer: What the peer sees when the limit is hit.
    """

    name: str
    group: str
    help: str
    kind: Kind = "text"
    default: Any = None
    unset: str = "none"
    metavar: str = ""
    choices: tuple[str, ...] = ()
    plugins: str = ""
    multiple: bool = False
    negative: bool = False
    aliases: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    rule: Callable[[str], object] | None = None
    field: str = ""
    attack: str = ""
    answer: str = ""

    @property
    def attribute(self) -> str:
        """The name in Python."""
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        """The name of the environment variable."""
        return ENV_PREFIX + self.attribute.upper()

    @property
    def flags(self) -> tuple[str, ...]:
        """The spellings on the command line that switch the option on or take its value."""
        return tuple(f"--{name}" for name in (self.name, *self.aliases))

    @property
    def signature(self) -> str:
        """The option as the help shows it: its spelling, then what stands for its value."""
        if self.kind == "flag":
            return f"--{self.name} / --no-{self.name}" if self.negative else f"--{self.name}"
        return f"--{self.name} {self.metavar or self.kind.upper()}"

    @property
    def default_text(self) -> str:
        """The default in the words of the help; empty when there is nothing to say."""
        if self.default is None:
            return self.unset
        if self.kind == "flag":
            return "on" if self.default else "off"
        if self.kind == "seconds":
            return f"{self.default:g}"
        if self.multiple:
            return ", ".join(self.default)
        return str(self.default)

    @property
    def description(self) -> str:
        """The help text, with the choices and the attack that the option stops."""
        parts = [self.help]
        if self.choices:
            parts.append(f"One of {', '.join(self.choices)}.")
        if self.attack:
            parts.append(f"Stops {self.attack}{f' ({self.answer})' if self.answer else ''}.")
        if self.aliases:
            parts.append(f"Also {', '.join(self.flags[1:])}.")
        return " ".join(parts)

    def parse(self, text: str) -> str | int | float:
        """Read one value as it stands on the command line.

        Raises:
            ValueError: The text is not of the option's kind, or :meth:`check_one` refuses the value.
        """
        value: str | int | float = text
        try:
            if self.kind == "integer":
                value = int(text, 10)
            elif self.kind == "octal":
                value = int(text, 8)
            elif self.kind == "seconds":
                value = float(text)
        except ValueError:
            raise ValueError(f"must be {_KIND_WORDS[self.kind]}, not {text!r}") from None
        checked: str | int | float = self.check_one(value)
        return checked

    def check(self, value: Any) -> Any:
        """Return ``value`` in the form that the option's attribute has.

        Raises:
            ValueError: The value is of a wrong type, out of range or not one of the choices.
        """
        if value is None and self.default is None:
            return None
        if not self.multiple:
            return self.check_one(value)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"must be a sequence of values, not {value!r}")
        return tuple(self.check_one(item) for item in value)

    def check_one(self, value: Any) -> Any:
        """Like :meth:`check`, for one value of an option that may be given several times."""
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise ValueError(f"must be True or False, not {value!r}")
            return value
        return self._check_text(value) if self.kind == "text" else self._check_number(value)

    def limit(self, value: Any) -> int:
        """Return ``value`` as the core counts it: bytes or a number, and seconds in whole milliseconds."""
        if value is None:
            return 0
        return max(1, round(value * 1000)) if self.kind == "seconds" else int(value)

    def _check_text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a string, not {value!r}")
        if "\0" in value:
            raise ValueError("must not contain a NUL character")
        if self.choices and value not in self.choices and value not in _plugins(self.plugins):
            raise ValueError(f"must be one of {', '.join(self.choices)}, not {value!r}")
        if self.rule is not None:
            self.rule(value)
        return value

    def _check_number(self, value: Any) -> int | float:
        types = (int, float) if self.kind == "seconds" else (int,)
        if isinstance(value, bool) or not isinstance(value, types):
            raise ValueError(f"must be {_KIND_WORDS[self.kind]}, not {value!r}")
        if math.isnan(value) or not self._in_range(value):
            raise ValueError(f"must be {self.range_text}, not {self._number_text(value)}")
        return float(value) if self.kind == "seconds" else value

    def _in_range(self, value: float) -> bool:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return low <= value <= high and not math.isinf(value)

    @property
    def range_text(self) -> str:
        """The allowed range of a number in words; empty when any is allowed."""
        if self.minimum is None or self.maximum is None:
            return "finite"
        return f"from {self._number_text(self.minimum)} to {self._number_text(self.maximum)}"

    def _number_text(self, value: float) -> str:
        if self.kind == "octal":
            return f"{int(value):o}"
        return f"{value:.10g}" if self.kind == "seconds" else str(value)


_KIND_WORDS: Final[dict[str, str]] = {
    "integer": "a whole number",
    "octal": "an octal number such as 660",
    "seconds": "a number of seconds",
}


def _plugins(group: str) -> set[str]:
    return {entry.name for entry in metadata.entry_points(group=group)} if group else set()


# RFC 9110 §5.6.2 (token) and §5.5 (field-value).
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING: Final = frozenset(
    {"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


def parse_field(text: str) -> tuple[bytes, bytes]:
    """Split ``Name:Value`` into a field's name and value; white space around the value is dropped.

    Raises:
        ValueError: The name is not a token (RFC 9110 §5.6.2), the value holds controls or characters outside
            of latin-1, or the field belongs to the server's own framing of messages.
    """
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    if not colon:
        raise ValueError(f"must have the form Name:Value, not {text!r}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"must begin with a field name of letters, digits and !#$%&'*+-.^_`|~, not {name!r}")
    if _CONTROL.search(value):
        raise ValueError(f"must not have control characters in its value: {value!r}")
    if name.lower() in _FRAMING:
        raise ValueError(f"must not be {name}: the server sends that field itself")
    try:
        return name.encode("ascii"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"must have a value of latin-1 characters, not {value!r}") from None


def _check_host(text: str) -> None:
    if text.startswith("[") or text.count(":") == 1:
        raise ValueError(f"must be an address or a name alone, without brackets and port, not {text!r}")
    if any(char.isspace() for char in text):
        raise ValueError(f"must not contain white space: {text!r}")


PARSERS: Final = ("auto", "tricorn", "h11", "httptools")


def _check_parser(text: str) -> None:
    module, colon, name = text.partition(":")
    if text not in PARSERS and not (module and colon and name):
        raise ValueError(f"must be one of {', '.join(PARSERS)}, or a class as MODULE:CLASS, not {text!r}")


def _check_socket_path(text: str) -> None:
    if not text:
        raise ValueError("must be the path of a socket, not empty")
    size = len(os.fsencode(text))
    if size > _SOCKET_PATH:
        raise ValueError(
            f"must be at most {_SOCKET_PATH} bytes long, which is all that the kernel takes, not {size}"
        )


def _check_root_path(text: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"must be UTF-8, not {os.fsencode(text)!r}")
    if text and (not text.startswith("/") or text.endswith("/")):
        wanted = "/" + text.strip("/")
        remedy = repr(wanted) if wanted != "/" else "an empty string"
        raise ValueError(f"must begin with a slash and not end with one: give {remedy}, not {text!r}")


BINDING: Final = "Where to listen"
RUNNING: Final = "The application"
LOGGING: Final = "Logging"
FIELDS: Final = "Fields of every answer"
TIMEOUTS: Final = "Deadlines, in seconds"
LIMITS: Final = "Limits"
GROUPS: Final = (BINDING, RUNNING, LOGGING, FIELDS, TIMEOUTS, LIMITS)

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


def _limit(name: str, help: str, default: int, **more: Any) -> Option:
    defaults: dict[str, Any] = {"minimum": 1, "maximum": _U32, "metavar": "BYTES"}
    return Option(name, LIMITS, help, "integer", default, **(defaults | more))


OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "host",
        BINDING,
        "The address or name to listen on; an empty one is every IPv4 and IPv6 address.",
        default="127.0.0.1",
        rule=_check_host,
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
        rule=_check_socket_path,
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
        rule=_check_parser,
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
        rule=_check_root_path,
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
)

BY_ATTRIBUTE: Final[dict[str, Option]] = {option.attribute: option for option in OPTIONS}


def default(attribute: str) -> Any:
    """Return the default of the option whose name in Python is ``attribute``."""
    return BY_ATTRIBUTE[attribute].default

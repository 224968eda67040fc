"""What an option is: its names, how its values are read and checked, and the rules of some of them.

The table of options is :data:`tricorn.options.OPTIONS`.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from typing import Any, Final, Literal

from tricorn import uvicorn_options

ENV_PREFIX: Final = "TRICORN_"

Kind = Literal["text", "integer", "octal", "seconds", "flag"]

_LARGEST_FD: Final = 2**31 - 1
_LARGEST_PORT: Final = 65535
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
        short: A letter that stands for the name on the command line.
        choices: The only values allowed, if there are any.
        imports: What may be given as ``module:name`` besides ``choices``, such as ``FUNCTION``.
        plugins: An entry-point group whose names are allowed besides ``choices``.
        multiple: Whether the option may be given several times; its value is a tuple then.
        negative: Whether a flag has a ``--no-`` form.
        worded: Whether a flag may be followed by ``true`` or ``false``, which is how uvicorn has it.
        ends: Whether 0 seconds, and ``none`` or ``None`` in their place, switch off what the option sets the time of.
        makers: Whether Python may give a class or a function in place of a name.
        aliases: Further names on the command line and in Python.
        keywords: Further names in Python only.
        minimum, maximum: The range of a number, both ends included.
        secret: Whether the value is not to be printed.
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
    short: str = ""
    choices: tuple[str, ...] = ()
    imports: str = ""
    plugins: str = ""
    multiple: bool = False
    negative: bool = False
    worded: bool = False
    ends: bool = False
    makers: bool = False
    aliases: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False
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
    def variables(self) -> tuple[str, ...]:
        """The environment variables that are asked for a value, the first before the others."""
        theirs = uvicorn_options.variables((self.name, *self.aliases))
        return (self.env, *theirs)

    @property
    def flags(self) -> tuple[str, ...]:
        """The spellings on the command line that switch the option on or take its value."""
        short = (f"-{self.short}",) if self.short else ()
        return (*(f"--{name}" for name in (self.name, *self.aliases)), *short)

    @property
    def signature(self) -> str:
        """The option as the help shows it: its spelling, then what stands for its value."""
        if self.kind == "flag":
            return f"--{self.name} / --no-{self.name}" if self.negative else f"--{self.name}"
        short = f"-{self.short}, " if self.short else ""
        return f"{short}--{self.name} {self.metavar or self.kind.upper()}"

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
            parts.append(f"One of {self.choices_text}.")
        if self.attack:
            parts.append(f"Stops {self.attack}{f' ({self.answer})' if self.answer else ''}.")
        if self.aliases:
            parts.append(f"Also {', '.join(f'--{name}' for name in self.aliases)}.")
        if self.worded:
            parts.append("Also with true or false behind it.")
        return " ".join(parts)

    @property
    def choices_text(self) -> str:
        """The values allowed, in words."""
        imports = f", or MODULE:{self.imports}" if self.imports else ""
        return ", ".join(self.choices) + imports

    def parse(self, text: str) -> str | int | float:
        """Read one value as it stands on the command line.

        Raises:
            ValueError: The text is not of the option's kind, or :meth:`check_one` refuses the value.
        """
        value: str | int | float = text
        if self.ends and text == "none":
            return 0.0
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
        if value is None and (self.default is None or self.ends):
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
        if value is None or (self.ends and value == 0):
            return 0
        return max(1, round(value * 1000)) if self.kind == "seconds" else int(value)

    def _check_text(self, value: Any) -> Any:
        if self.makers and callable(value):
            return value
        if not isinstance(value, str):
            raise ValueError(f"must be a string, not {value!r}")
        if "\0" in value:
            raise ValueError("must not contain a NUL character")
        if self.rule is not None:
            self.rule(value)
        if self.choices and value not in self.choices and not self._is_imported(value):
            raise ValueError(f"must be one of {self.choices_text}, not {value!r}")
        return value

    def _is_imported(self, value: str) -> bool:
        module, _, name = value.partition(":")
        return bool(self.imports and module and name) or value in _plugins(self.plugins)

    def _check_number(self, value: Any) -> int | float:
        types = (int, float) if self.kind == "seconds" else (int,)
        if isinstance(value, bool) or not isinstance(value, types):
            raise ValueError(f"must be {_KIND_WORDS[self.kind]}, not {value!r}")
        if math.isnan(value) or not self._in_range(value):
            raise ValueError(f"must be {self.range_text}, not {self._number_text(value)}")
        if self.choices and str(value) not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}, not {value}")
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


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on: a host and port, the path of a Unix socket, or an inherited descriptor.

    Attributes:
        host: An address or a name; empty is every address of the machine.
        port: The port; 0 takes any free one.
        path: The path of a Unix socket instead.
        fd: An inherited descriptor of a stream socket instead.
        proxy: Whether connections begin with a header of the PROXY protocol.
    """

    host: str = ""
    port: int = 0
    path: str | None = None
    fd: int | None = None
    proxy: bool = False

    def __str__(self) -> str:
        if self.fd is not None:
            return f"fd://{self.fd}"
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT_PORT: Final = 8000
_PROPERTIES: Final = ("proxy",)


def check_bind(text: str) -> None:
    parse_bind(text)


def parse_bind(text: str) -> Bind:
    """Read an address as ``--bind`` takes it.

    It is ``host:port``, ``[address]:port``, ``host``, ``:port`` (every address), ``unix:path`` or ``fd://number``;
    without a port it is 8000. Properties may follow, each after a comma: ``proxy`` where connections begin with a
    header of the PROXY protocol.

    Raises:
        ValueError: The text is none of these.
    """
    address, *properties = text.split(",")
    for name in properties:
        if name not in _PROPERTIES:
            raise ValueError(f"must have {' or '.join(_PROPERTIES)} after the comma, not {name!r}")
    return replace(_parse_address(address), proxy="proxy" in properties)


def _parse_address(text: str) -> Bind:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        check_socket_path(path)
        return Bind(path=path)
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not number.isdecimal() or int(number) > _LARGEST_FD:
            raise ValueError(f"must have the number of a descriptor after fd://, not {number!r}")
        return Bind(fd=int(number))
    return _parse_host(text)


def _parse_host(text: str) -> Bind:
    if "/" in text:
        raise ValueError(f"must be host:port, unix:PATH or fd://NUMBER, not {text!r}")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, ""
    if host.startswith("["):
        if not host.endswith("]") or not _is_address(host[1:-1], 6):
            raise ValueError(f"must have an IPv6 address between [ and ], not {text!r}")
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"must have an IPv6 address in brackets, as in [::1]:{DEFAULT_PORT}, not {text!r}")
    if not text or any(char.isspace() for char in host):
        raise ValueError(f"must be host:port, [ADDRESS]:port, unix:PATH or fd://NUMBER, not {text!r}")
    if colon and not text.endswith("]") and not (port.isdecimal() and int(port) <= _LARGEST_PORT):
        raise ValueError(f"must have a port from 0 to {_LARGEST_PORT} after the host, not {port!r}")
    return Bind(host=host, port=int(port or DEFAULT_PORT))


def is_every_address(host: str) -> bool:
    """Tell whether a host means every address, those of IPv4 too: an empty one, and ``::`` in any spelling."""
    return not host or (":" in host and _is_address(host, 6) and int(ipaddress.ip_address(host)) == 0)


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


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


def check_host(text: str) -> None:
    if text.startswith("[") or text.count(":") == 1:
        raise ValueError(f"must be an address or a name alone, without brackets and port, not {text!r}")
    if any(char.isspace() for char in text):
        raise ValueError(f"must not contain white space: {text!r}")


PARSERS: Final = ("auto", "tricorn", "h11", "httptools")


WEBSOCKETS: Final = ("auto", "tricorn", "wsproto", "websockets", "websockets-sansio", "none")


def check_parser(text: str) -> None:
    if text == "zttp":
        raise ValueError(
            "must not be zttp, uvicorn's experiment in Zig: the parser in C (tricorn) is as fast, give auto"
        )
    _check_class(text, PARSERS)


def check_loop(text: str) -> None:
    if text == "zuvloop":
        raise ValueError("must not be zuvloop, uvicorn's experiment in Zig: give uvloop, or auto")


def check_websockets(text: str) -> None:
    _check_class(text, WEBSOCKETS)


def _check_class(text: str, names: tuple[str, ...]) -> None:
    module, colon, name = text.partition(":")
    if text not in names and not (module and colon and name):
        raise ValueError(f"must be one of {', '.join(names)}, or a class as MODULE:CLASS, not {text!r}")


def check_socket_path(text: str) -> None:
    if not text:
        raise ValueError("must be the path of a socket, not empty")
    size = len(os.fsencode(text))
    if size > _SOCKET_PATH:
        raise ValueError(
            f"must be at most {_SOCKET_PATH} bytes long, which is all that the kernel takes, not {size}"
        )


def check_path(text: str) -> None:
    if not text:
        raise ValueError("must be a path, not empty")


def check_root_path(text: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"must be UTF-8, not {os.fsencode(text)!r}")
    if text and (not text.startswith("/") or text.endswith("/")):
        wanted = "/" + text.strip("/")
        remedy = repr(wanted) if wanted != "/" else "an empty string"
        raise ValueError(f"must begin with a slash and not end with one: give {remedy}, not {text!r}")


_MOST_GLOBS: Final = 1024
"""Bytes of a path's pattern."""


def check_log_path(text: str) -> None:
    if not text:
        raise ValueError("must be the path of a file, or -, not empty")


def check_access_format(text: str) -> None:
    try:
        check = import_module("tricorn._core").check_access_format
    except ImportError:
        return  # not built: that is said at the start
    try:
        check(text)
    except ValueError as error:
        raise ValueError(f"is no format: {error}") from None


def check_access_glob(text: str) -> None:
    if not text.startswith(("/", "*")):
        raise ValueError(f"must be a path that begins with a slash or a star, not {text!r}")
    if len(text) > _MOST_GLOBS:
        raise ValueError(f"must have at most {_MOST_GLOBS} characters, not {len(text)}")

"""How requests are read by a class written in Python, in place of the parser in C.

Such a class sees bytes and gives events. It knows nothing of sockets, timers or async libraries: those stay the
core's, and so do the limits, the checks of a request and the framing of answers. The option ``--http`` chooses
it: ``h11``, ``httptools``, or ``module:Class``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tricorn.errors import StartupError

BUILT_IN = {"h11": "tricorn.protocols.h11:Parser", "httptools": "tricorn.protocols.httptools:Parser"}


class Limits(NamedTuple):
    """What a parser may hold back at most, in bytes. The core sees to these limits, too."""

    head: int
    trailers: int
    chunk_extensions: int


class Head(NamedTuple):
    """A request has begun.

    Attributes:
        method: As received, such as ``b"GET"``.
        target: As received, such as ``b"/path?query"``.
        fields: Names and values as received, in order. They tell how the body is delimited: the core checks it.
        version: ``b"1.1"`` or ``b"1.0"``.
    """

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    version: bytes = b"1.1"


class Body(NamedTuple):
    """Some of the request's body, without chunk sizes."""

    data: bytes


class End(NamedTuple):
    """The request is complete. It comes once for every head, with or without a body; trailers are dropped."""


class Reject(NamedTuple):
    """The bytes are no request that could be understood; nothing after them is read.

    Attributes:
        status: What the client is answered, from 400 to 599.
    """

    status: int = 400


Event = Head | Body | End | Reject


class Answer(NamedTuple):
    """The head of an answer.

    Attributes:
        status: From 200 to 999.
        fields: Those of the application and the server's own, but for what frames the message or belongs to the
            connection: that is the protocol's to write.
        close: Whether the connection ends with this answer.
    """

    status: int
    fields: list[tuple[bytes, bytes]]
    close: bool


class Parser(Protocol):
    """What reads the requests of one connection. It is made with the connection's first bytes.

    An exception from any of its methods is a fault in the parser: it is logged, and the client gets a 500.
    """

    def __init__(self, limits: Limits) -> None: ...

    def recv(self, data: bytes) -> int | None:
        """Take bytes as they came, and return how many; ``None`` is all of them.

        What is not taken comes again, so a parser best takes no more than the request that it is reading:
        bytes of the next one come when this one has been answered. One that cannot tell has two attributes:
        ``ahead`` is true while it holds events behind the :class:`End` of the request at work, and ``begun``
        while it holds the beginning of a further head.
        """
        ...

    def next_event(self) -> Event | None:
        """Return the next event that the bytes have made, ``None`` when more of them are needed."""
        ...


class Writer(Parser, Protocol):
    """A parser that writes the answers, too; where a class has no ``submit_head``, HTTP/1.1 in C does."""

    def submit_continue(self) -> None:
        """Tell the client to go on with the body that it has held back (``100 Continue``), if the protocol can."""
        ...

    def submit_head(self, head: Answer) -> None:
        """Begin an answer; :meth:`submit_body` follows at once."""
        ...

    def submit_body(self, data: bytes, end: bool) -> None:
        """Go on with the answer; ``end`` completes it. Data is empty where the answer has no body."""
        ...

    def send(self) -> bytes:
        """Return what is to be sent, and forget it."""
        ...


@dataclass(frozen=True)
class Binding:
    """What the core needs to have requests read in Python.

    Attributes:
        make: Gives the parser of a new connection.
        on_error: Is told of an exception from a parser.
        head, body, end, reject: The classes of events.
        answer: The class of an answer's head, ``None`` where HTTP/1.1 in C writes.
    """

    make: Callable[[], Parser]
    on_error: Callable[[Exception], None]
    head: type = Head
    body: type = Body
    end: type = End
    reject: type = Reject
    answer: type | None = None


def section_size(fields: Iterable[tuple[bytes, bytes]]) -> int:
    """Return how many bytes these field lines take on the wire, at least."""
    return sum(len(name) + len(value) + len(b":\r\n") for name, value in fields)


class Wanted(NamedTuple):
    """What an option names a class for, as its errors are worded.

    Attributes:
        what: What the class is.
        makes: What it makes.
        built_in: Names for classes of Tricorn's own that stand on a library.
        remedy: What to do when there is no such class.
        instead: What to do without the library.
    """

    what: str
    makes: str
    built_in: dict[str, str]
    remedy: str
    instead: str


_WANTED = Wanted(
    "HTTP parser",
    "parser",
    BUILT_IN,
    "name a class as MODULE:CLASS with --http, or use h11, httptools or tricorn",
    "use the parser in C with --http tricorn",
)


def load(name: str) -> Callable[[Limits], Parser] | None:
    """Return the class that ``--http`` names, ``None`` where it is the parser in C.

    Raises:
        StartupError: There is no such class, or the library that it needs is not installed.
    """
    return None if name in ("auto", "tricorn") else find(name, _WANTED)


def find(name: str, wanted: Wanted) -> Callable[..., Any]:
    """Return the class of a name, or of ``module:Class``.

    Raises:
        StartupError: There is no such class, or the library that it needs is not installed.
    """
    where = wanted.built_in.get(name, name)
    module, _, attribute = where.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise _missing(name, module, error, wanted) from None
    except AttributeError:
        raise StartupError(f"the module {module!r} has no attribute {attribute!r}", wanted.remedy) from None
    if not callable(found):
        raise StartupError(
            f"{where} is {type(found).__name__!r}, which makes no {wanted.makes}", wanted.remedy
        )
    made: Callable[..., Any] = found
    return made


def _missing(name: str, module: str, error: ModuleNotFoundError, wanted: Wanted) -> StartupError:
    """Say which module is not there."""
    library = name.partition("-")[0]
    if name in wanted.built_in and (error.name or "").partition(".")[0] == library:
        return StartupError(
            f"the {wanted.what} {library!r} is not installed",
            f"install it with 'pip install tricorn[{library}]', or {wanted.instead}",
        )
    if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
        return StartupError(
            f"there is no module {error.name!r} to take the {wanted.what} from", wanted.remedy
        )
    raise error

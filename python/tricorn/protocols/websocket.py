"""How the frames of a WebSocket are read and written by a class in Python, in place of the code in C.

Such a class sees bytes and gives events, and makes bytes of what is to be sent. The opening handshake, the queue,
pings, deadlines, the closing handshake and the stop stay the core's. The option ``--ws`` chooses it: ``wsproto``,
``websockets``, or ``module:Class``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tricorn.errors import StartupError
from tricorn.protocols import Wanted, find

_WSPROTO = "tricorn.protocols.ws_wsproto:Frames"
_WEBSOCKETS = "tricorn.protocols.ws_websockets:Frames"
_WANTED = Wanted(
    "WebSocket library",
    "frames",
    {"wsproto": _WSPROTO, "websockets": _WEBSOCKETS, "websockets-sansio": _WEBSOCKETS},
    "name a class as MODULE:CLASS with --ws, or use wsproto, websockets or tricorn",
    "use the code in C with --ws tricorn",
)


class Settings(NamedTuple):
    """What the options say of frames and compression; ``docs/options.md`` describes each.

    Attributes:
        max_size: Bytes of a message, after it was inflated. The core sees to it, too, once there is a message.
        max_fragments: Frames of a message, 0 for no limit.
        deflate: Whether messages may be compressed (RFC 7692).
        no_context: Whether the server's messages are compressed each by itself.
        client_no_context: Whether clients are asked for that.
        window_bits: Of the window of compression: ours, and the client's where it lets us choose.
        level: zlib's.
        mem_level: zlib's.
        min_size: Messages of fewer bytes are sent as they are.
    """

    max_size: int
    max_fragments: int
    deflate: bool
    no_context: bool
    client_no_context: bool
    window_bits: int
    level: int
    mem_level: int
    min_size: int


class Message(NamedTuple):
    """A whole message: a string for a text message, bytes for a binary one."""

    data: str | bytes


class Ping(NamedTuple):
    """A ping, which the core has answered when it is due: at most 125 bytes."""

    payload: bytes


class Pong(NamedTuple):
    """A pong of at most 125 bytes."""

    payload: bytes


class Close(NamedTuple):
    """The client's close frame; nothing after it is read.

    Attributes:
        code: 1005 when it has none.
        reason: At most 123 bytes of UTF-8.
    """

    code: int
    reason: str


class Fail(NamedTuple):
    """The client broke the protocol or a limit; nothing after it is read.

    Attributes:
        code: What the WebSocket is closed with, such as 1002 (protocol), 1007 (data), 1008 (a limit), 1009 (too big).
    """

    code: int = 1002


Event = Message | Ping | Pong | Close | Fail


class Frames(Protocol):
    """What reads and writes the frames of one WebSocket. It is made when it is first needed.

    An exception from any of its methods is a fault in the class: it is logged, and the WebSocket is closed with 1011;
    in :meth:`negotiate` the handshake is answered with a 500.
    """

    def __init__(self, settings: Settings) -> None: ...

    def negotiate(self, offers: str) -> str | None:
        """Read one ``Sec-WebSocket-Extensions`` field of the request, before anything else.

        Return the field's value for the answer when an offer is agreed to, at most 256 ASCII characters; ``None`` when
        none is. It is not called again once it has agreed.
        """
        ...

    def recv(self, data: bytes) -> None:
        """Take bytes as they came, all of them. The events that the bytes before have made were all given."""
        ...

    def next_event(self) -> Event | None:
        """Return the next event that the bytes have made, ``None`` when more of them are needed.

        Bytes make no more events than they are.
        """
        ...

    def submit_message(self, data: str | bytes) -> bytes:
        """Return the bytes that send a message: text for a string, else binary."""
        ...

    def submit_ping(self, payload: bytes) -> bytes:
        """Return the bytes that send a ping."""
        ...

    def submit_pong(self, payload: bytes) -> bytes:
        """Return the bytes that send a pong."""
        ...

    def submit_close(self, code: int, reason: str) -> bytes:
        """Return the bytes that send a close frame, without a code when it is 1005. No message follows."""
        ...


_METHODS = ("negotiate", "recv", "next_event", "submit_message", "submit_ping", "submit_pong", "submit_close")


@dataclass(frozen=True)
class Binding:
    """What the core needs to have frames made in Python.

    Attributes:
        make: Gives the object of a new WebSocket.
        on_error: Is told of an exception from it.
        message, ping, pong, close, fail: The classes of events.
    """

    make: Callable[[], Frames]
    on_error: Callable[[Exception], None]
    message: type = Message
    ping: type = Ping
    pong: type = Pong
    close: type = Close
    fail: type = Fail


def load(ws: str | Callable[..., Any]) -> Callable[[Settings], Frames] | None:
    """Return the class that ``--ws`` names, or that Python gave itself; ``None`` where it is the code in C.

    Raises:
        StartupError: There is no such class, it lacks a method, or the library that it needs is not installed.
    """
    if ws in ("auto", "tricorn", "none"):
        return None
    found = find(ws, _WANTED) if isinstance(ws, str) else ws
    missing = [name for name in _METHODS if not hasattr(found, name)] if isinstance(found, type) else []
    if missing:
        raise StartupError(
            f"the class {found.__module__}.{found.__qualname__} has no method {missing[0]}(), and so makes no frames",
            "docs/websockets.md says what one has",
        )
    return found

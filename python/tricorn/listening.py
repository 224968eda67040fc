"""Where a server listens: addresses as the options name them, and the sockets that are bound to them."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tricorn import _core
from tricorn.config import Config
from tricorn.errors import StartupError
from tricorn.option import Bind, is_every_address

# Of Linux's headers; the module socket does not have them.
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_SO_DETACH_REUSEPORT_BPF: Final = 68
_SKF_AD_RANDOM: Final = 0xFFFFF000 + 56
_TCP_NOTSENT_LOWAT: Final = 25

_INHERITED_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    (socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
)


@dataclass(slots=True)
class Listener:
    """One listening socket.

    Attributes:
        fd: Its descriptor, owned by whoever holds the listener until a core takes it over.
        url: The address as the log shows it: ``http://host:port``, ``unix:path``, or ``fd://number`` for an
            inherited Unix socket.
        path: The path of a Unix socket, where it has one.
        file: What tells the file of a Unix socket that was bound here from another's in its place.
        proxy: Whether its connections begin with a header of the PROXY protocol.
    """

    fd: int
    url: str
    path: str | None = None
    file: tuple[int, int] | None = None
    proxy: bool = False

    @property
    def server(self) -> tuple[str, None] | None:
        """The ``server`` of the scope of what comes by a Unix socket."""
        return (self.path, None) if self.path is not None else None


def open_all(config: Config, *, shared: bool = False) -> list[Listener]:
    """Bind every address of the options, and listen.

    Args:
        config: The options.
        shared: Whether further sockets may be bound to the same addresses of TCP.

    Raises:
        StartupError: An address is in use, forbidden or unknown; none stays bound.
    """
    opened: list[Listener] = []
    try:
        for address in config.addresses:
            opened += _open(address, config, shared=shared)
    except BaseException:
        close(opened)
        raise
    return opened


def inherited(fd: int, backlog: int, *, proxy: bool = False) -> Listener:
    """Return the listener of a descriptor that was bound elsewhere.

    Raises:
        StartupError: It is no stream socket.
    """
    try:
        with socket.socket(fileno=os.dup(fd)) as copy:
            copy.listen(backlog)
            name, family = copy.getsockname(), copy.family
    except OSError as error:
        raise StartupError(
            f"the descriptor {fd} cannot be listened on: {error.strerror}",
            "--fd wants a stream socket that was inherited",
        ) from None
    if family == socket.AF_UNIX:
        return Listener(fd, f"fd://{fd}", os.fsdecode(name) or None, proxy=proxy)
    return Listener(fd, url(name[0], name[1]), proxy=proxy)


def twin(listener: Listener, backlog: int, *, own: bool) -> Listener:
    """Return another listener of the same address, for another process.

    Args:
        listener: One that :func:`open_all` has opened.
        backlog: The connections that wait in the kernel to be accepted.
        own: Whether it is to be a socket of its own, which only TCP can have; else it is the same socket.

    Raises:
        OSError: The address is not to be had any more.
    """
    with socket.socket(fileno=os.dup(listener.fd)) as first:
        if not own or not _is_shared(first):
            return Listener(os.dup(listener.fd), listener.url, listener.path, proxy=listener.proxy)
        with socket.socket(first.family) as second:
            for level, name in _INHERITED_OPTIONS:
                if level != socket.IPPROTO_IPV6 or first.family == socket.AF_INET6:
                    second.setsockopt(level, name, first.getsockopt(level, name))
            second.bind(first.getsockname())
            second.listen(backlog)
            return Listener(second.detach(), listener.url, proxy=listener.proxy)


def steer(listeners: Iterable[Listener], count: int, without: Iterable[int] = ()) -> None:
    """Have new connections pass some of the sockets of an address by.

    The kernel does without where it cannot; then some may still go there.

    Args:
        listeners: One socket of each address.
        count: How many sockets each address has.
        without: Which of them are passed by, as numbers in the order of their opening; none is all again.
    """
    out = sorted(without)
    # Of struct sock_filter: load a random number, take it modulo what is left, step over each that is out, return it.
    steps = [(0x20, 0, 0, _SKF_AD_RANDOM), (0x94, 0, 0, count - len(out))]
    for index in out:
        steps += [(0x35, 0, 1, index), (0x04, 0, 0, 1)]
    steps.append((0x16, 0, 0, 0))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    for listener in listeners:
        with suppress(OSError), socket.socket(fileno=os.dup(listener.fd)) as one:
            if not _is_shared(one):
                continue
            if out:
                one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
            else:
                one.setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)


def _is_shared(one: socket.socket) -> bool:
    """Tell whether others may be bound to the same address of TCP."""
    return one.family != socket.AF_UNIX and bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))


def close(listeners: Iterable[Listener]) -> None:
    """Close the sockets, and remove the files of those that were bound here."""
    for listener in listeners:
        os.close(listener.fd)
    remove_files(listeners)


@contextmanager
def files(listeners: Sequence[Listener]) -> Iterator[None]:
    """Remove the files of Unix sockets at the end."""
    try:
        yield
    finally:
        remove_files(listeners)


def remove_files(listeners: Iterable[Listener]) -> None:
    """Remove the files of Unix sockets, unless another server has put its own in their place meanwhile."""
    for listener in listeners:
        if listener.path is None or listener.file is None:
            continue
        path = Path(listener.path)
        with suppress(OSError):
            if _file(path) == listener.file:
                path.unlink()


def url(host: str, port: int) -> str:
    """Return the URL of a bound address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open(address: Bind, config: Config, *, shared: bool) -> list[Listener]:
    """Bind one address."""
    if address.fd is not None:
        return [inherited(address.fd, config.backlog, proxy=address.proxy)]
    try:
        if address.path is not None:
            path = Path(address.path)
            fd = _core.listen_unix(address.path, _mode(path, config), config.backlog)
            return [Listener(fd, f"unix:{address.path}", address.path, _file(path), address.proxy)]
        host = "" if is_every_address(address.host) else address.host
        if shared and address.port:  # whoever else listens there would not be noticed
            for fd in _core.listen_tcp(host, address.port, config.backlog):
                os.close(fd)
        fds = _core.listen_tcp(host, address.port, config.backlog, shared)
    except ValueError:
        raise StartupError(
            f"the host {address.host!r} has no address",
            "give an address of this machine with --host or --bind",
        ) from None
    except OSError as error:
        raise _bind_error(address, error) from None
    return [inherited(fd, config.backlog, proxy=address.proxy) for fd in fds]


def _file(path: Path) -> tuple[int, int]:
    """Return what tells a file from others."""
    now = path.stat()
    return now.st_dev, now.st_ino


def _mode(path: Path, config: Config) -> int:
    """Return the permissions of a Unix socket: as set, else (-1) those of the file in its place, else 666."""
    if config.uds_mode is not None:
        return config.uds_mode
    return -1 if path.exists() else 0o666


def _bind_error(address: Bind, error: OSError) -> StartupError:
    """Say in one line why a socket could not be had, and what to do."""
    remedies = {
        errno.EADDRINUSE: "stop the server that uses it, or choose another with --port or --uds",
        errno.EACCES: "choose a port above 1023 or a path that you may write to",
        errno.EADDRNOTAVAIL: "give an address of this machine with --host",
        errno.EEXIST: "there is a file that is not a socket: remove it or choose another path",
        errno.ENOENT: "create the directory of the socket first",
    }
    remedy = remedies.get(error.errno or 0, "choose another address")
    return StartupError(f"cannot listen on {address}: {error.strerror}", remedy)

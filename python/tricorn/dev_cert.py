"""``tricorn dev-cert``: a certificate that signs itself, so that HTTPS and HTTP/2 can be tried in one command."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from pathlib import Path
from typing import Final

import click

from tricorn.errors import StartupError, UsageError

NAME: Final = "dev-cert"
CERTIFICATE: Final = "dev-cert.pem"
KEY: Final = "dev-key.pem"

USUAL: Final = ("localhost", "127.0.0.1", "::1")
DAYS: Final = 397
"""Browsers take no certificate that is good for longer."""
HOSTS_MOST: Final = 100

_HOST: Final = re.compile(  # clients take a * before two labels or more only
    r"(\*\.(?=[^.]+\.))?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
)
_SUBJECT_MOST: Final = 64


def build(kind: type[click.Command] = click.Command) -> click.Command:
    """Return the command, of a class that tells errors as its caller does."""
    return kind(
        NAME,
        callback=_run,
        params=[
            click.Option(
                ["--host"],
                multiple=True,
                metavar="NAME",
                help="A host's name or address that it is for as well; may be given several times.",
            ),
            click.Option(
                ["--out"],
                default=".",
                metavar="DIRECTORY",
                type=click.Path(),
                help=f"Where to write {CERTIFICATE} and {KEY}; by default here.",
            ),
            click.Option(
                ["--days"],
                default=DAYS,
                type=click.IntRange(1, DAYS),
                show_default=True,
                help="How long it is good.",
            ),
            click.Option(["--force"], is_flag=True, help="Replace the files if there are any."),
        ],
        help=(
            "Write a certificate for this machine and its key, to try HTTPS and HTTP/2 with. It is for localhost,"
            " 127.0.0.1 and ::1, and signs itself, so that clients have to be told to trust it."
        ),
    )


def _run(host: tuple[str, ...], out: str, days: int, force: bool) -> int:
    """Write the files, and say what to do with them."""
    certificate, key = write(Path(out), host, days, replace=force)
    click.echo(f"Wrote {certificate} and {key}, good for {days} days. Serve with:")
    paths = shlex.join(["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)])
    click.echo(f"  tricorn main:app {paths}")
    click.echo(f"  curl --cacert {shlex.quote(str(certificate))} https://localhost:8000/")
    return 0


def write(directory: Path, hosts: tuple[str, ...], days: int, *, replace: bool = False) -> tuple[Path, Path]:
    """Write a certificate and its key.

    Args:
        directory: Where; it is made if it is not there.
        hosts: Names and addresses beside :data:`USUAL`.
        days: How long it is good.
        replace: Whether to replace files that are there.

    Returns:
        The paths of both.

    Raises:
        UsageError: A host is none, or there are such files.
        StartupError: The files cannot be written.
    """
    from tricorn import _core, versions

    if not versions.has_tls():
        raise StartupError(
            "no certificate can be made: OpenSSL is not built in",
            "install it (Debian: apt-get install libssl-dev) and build Tricorn again",
        )
    names = list(dict.fromkeys((*map(_plain, hosts), *USUAL)))
    if len(names) > HOSTS_MOST:
        raise UsageError(f"a certificate is for at most {HOSTS_MOST} hosts here, not {len(names)}")
    subject = next((name for name in names if len(name) <= _SUBJECT_MOST), USUAL[0])
    certificate, key = _core.make_dev_cert(subject, ",".join(map(_entry, names)), days)
    paths = directory / CERTIFICATE, directory / KEY
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in paths:  # both before one is written: a key alone would be in the way of the next try
            _make_room(path, replace=replace)
        _create(paths[1], key, 0o600)
        _create(paths[0], certificate, 0o644)
    except OSError as error:
        raise StartupError(f"{error.filename} cannot be written: {error.strerror}") from None
    return paths


def _make_room(path: Path, *, replace: bool) -> None:
    """Remove a file if that was asked for.

    Raises:
        UsageError: It is there, and was not to be replaced.
    """
    if replace:
        path.unlink(missing_ok=True)
    elif os.path.lexists(path):
        raise UsageError(f"{path} is there already", "choose another --out, or replace it with --force")


def _create(path: Path, content: bytes, mode: int) -> None:
    """Write a new file, which from its beginning only those may read who are to."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _plain(host: str) -> str:
    """Return a host's name or address in its usual form.

    Raises:
        UsageError: It is none.
    """
    if _is_address(host.strip("[]")):
        return str(ipaddress.ip_address(host.strip("[]")))
    name = host.lower().rstrip(".")
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise UsageError(f"--host {host!r} is no name or address of a host", "give one such as app.localhost")
    return name


def _is_address(host: str) -> bool:
    """Tell whether this is an address; one with a zone has a meaning on one machine, and is none for a certificate."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _entry(host: str) -> str:
    """Return a host as the core is told of it."""
    return f"IP:{host}" if _is_address(host) else f"DNS:{host}"

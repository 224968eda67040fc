"""TLS: what the options say of certificates, versions and ciphers, in the terms of the core."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tricorn import versions
from tricorn.errors import UsageError

if TYPE_CHECKING:
    from tricorn.config import Config

_logger = logging.getLogger("tricorn.error")

TLS_1_2: Final = 0x0303
TLS_1_3: Final = 0x0304
"""Versions as the protocol numbers them."""

ONLY_1_2: Final = 5
"""``ssl.PROTOCOL_TLSv1_2``."""

NO_CIPHERS: Final = "TLSv1"
"""What older versions of uvicorn have as the default of ``--ssl-ciphers``; it asks for nothing."""

NOT_BUILT: Final = "this build does not speak TLS"
"""What the core says where it was built without OpenSSL."""

DAY: Final = 86400
HOUR: Final = 3600

_PATHS: Final = ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs")
_NEED_A_CERTIFICATE: Final = (
    "ssl_keyfile",
    "ssl_ca_certs",
    "ssl_crl",
    "ssl_cert_reqs",
    "ssl_sni_cert",
    "ssl_cert_dir",
    "ssl_reload",
)
_INSIDE: Final = (("fullchain.pem", "privkey.pem"), ("tls.crt", "tls.key"))
"""Certificates and keys in a directory of their own, as certbot and Kubernetes have them."""
_SUFFIXES: Final = frozenset({".pem", ".crt"})

SEED: Final = 32
LOOK: Final = 1.0
"""Seconds between two looks at the files."""

Stamps = dict[str, tuple[int, int, int] | None]


def check(config: Config) -> None:
    """Refuse options that contradict each other; no file is looked at.

    Raises:
        UsageError: They do.
    """
    for name in _NEED_A_CERTIFICATE:
        if getattr(config, name) and config.ssl_certfile is None:
            raise UsageError(
                f"{_shown(name)} is given without --ssl-certfile", "give the file of the certificate"
            )
    if config.ssl_cert_reqs and config.ssl_ca_certs is None:
        raise UsageError(
            f"--ssl-cert-reqs {config.ssl_cert_reqs} is given without --ssl-ca-certs",
            "give the file of those who sign the clients' certificates",
        )
    if config.ssl_crl and not config.ssl_cert_reqs:
        raise UsageError(
            "--ssl-crl is given, and clients are not asked for certificates", "add --ssl-cert-reqs 2"
        )
    if config.ssl_cert_errors == "tell" and config.ssl_cert_reqs != 1:
        raise UsageError(
            "--ssl-cert-errors tell has a meaning with --ssl-cert-reqs 1 only", "leave one of them out"
        )
    if config.ssl_version == ONLY_1_2 and config.ssl_min_version != "1.2":
        raise UsageError("--ssl-version 5 is TLS 1.2 and --ssl-min-version is above it", "give one of them")


@dataclass(frozen=True, slots=True)
class Material:
    """What the files of the options hold.

    Attributes:
        core: What the core's ``set_tls()`` takes.
        warnings: What is not as it should be, though it can be served with.
    """

    core: object
    warnings: list[str]


def new_seed() -> bytes:
    """Return what the keys of session tickets are derived from; servers that have the same take each other's."""
    return os.urandom(SEED)


def make(config: Config, seed: bytes | None = None) -> Material:
    """Read the certificates and keys.

    Args:
        config: The options.
        seed: See :func:`new_seed`; without one no session is resumed.

    Raises:
        UsageError: A file cannot be had, or is not what it should be.
    """
    from tricorn import _core  # options are read without the core

    assert config.ssl_certfile is not None
    more = _further(config)
    files = _files(config, more)
    for option, path in files:
        _open(option, path)
    arguments = _arguments(config) | {
        "more": tuple((os.fsencode(one), os.fsencode(key)) for one, key in more)
    }
    if config.ssl_session_tickets and seed is not None:
        arguments["seed"] = seed
    try:
        made, validities = _core.make_tls(**arguments)
    except ValueError as error:
        raise UsageError(f"TLS cannot be spoken: {error}", _remedy(str(error), files)) from None
    paths = [config.ssl_certfile, *(one for one, _ in more)]
    warnings = [_age(path, *validity) for path, validity in zip(paths, validities, strict=True)]
    if config.ssl_ca_certs is not None and not config.ssl_cert_reqs:
        warnings.append(
            "--ssl-ca-certs changes nothing: clients are not asked for certificates (--ssl-cert-reqs)"
        )
    return Material(made, [warning for warning in warnings if warning])


def warn(material: Material) -> None:
    """Log what is not as it should be."""
    for warning in material.warnings:
        _logger.warning("%s", warning)


class Keeper:
    """Gives a server what it needs for TLS, and gives it again when the files have changed.

    Args:
        config: The options.
        use: The core's ``set_tls()``.
        seed: See :func:`new_seed`.
    """

    def __init__(self, config: Config, use: Callable[[object], None], seed: bytes) -> None:
        self._config = config
        self._use = use
        self._seed = seed
        self._reader: threading.Thread | None = None
        self._asks: list[bool] = []
        self._read_at = self._seen = self._stamps()

    def start(self, *, quiet: bool = False) -> None:
        """Read the files; ``quiet`` where somebody else has told what is not as it should be.

        Raises:
            UsageError: They are not to be used.
        """
        material = make(self._config, self._seed)
        self._use(material.core)
        if not quiet:
            warn(material)

    def again(self) -> None:
        """Have the files read again, for new connections; if they are not to be used, what was read before stays.

        That is done in a thread, as files may be many, or slow. It may be asked for in a handler of signals. The end
        of the process waits for it, as OpenSSL must not be at work while it is taken down.
        """
        self._asks.append(True)
        if self._reader is not None:
            return
        self._reader = threading.Thread(target=self._read, name="tricorn-certificates", daemon=False)
        try:
            self._reader.start()
        except RuntimeError as error:
            self._reader = None
            _logger.error("The certificates stay as they were read before: %s", error)

    async def watch(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Look at the files for ever, and have them read once they have changed and were left alone for a look."""
        while True:
            await sleep(LOOK)
            now = self._stamps()
            if now == self._seen and now != self._read_at:
                self.again()
            self._seen = now

    def _read(self) -> None:
        """Read the files as often as it is asked for; the core may be given a context from any thread."""
        try:
            while self._asks:
                self._asks.clear()
                self._read_once()
        finally:
            self._reader = None
        if self._asks:  # since the last look, when there was a reader
            self.again()

    def _read_once(self) -> None:
        self._read_at = self._stamps()
        try:
            material = make(self._config, self._seed)
        except UsageError as error:
            _logger.error("The certificates stay as they were read before: %s", error)
            return
        self._use(material.core)
        warn(material)
        _logger.info("The certificates and keys were read again")

    def _stamps(self) -> Stamps:
        """Return what changes when one of the files does."""
        try:
            more = _further(self._config)
        except UsageError:
            more = []
        return {path: _stamp(path) for _, path in _files(self._config, more)}


def _stamp(path: str) -> tuple[int, int, int] | None:
    """Return what changes when a file does; ``None`` when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  # a tenth of what a Path takes
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _further(config: Config) -> list[tuple[str, str]]:
    """Return the certificates for the hosts in them, each with its key.

    Raises:
        UsageError: The directory cannot be read, or has none.
    """
    named = [_pair(text) for text in config.ssl_sni_cert]
    return named if config.ssl_cert_dir is None else named + _in_directory(config.ssl_cert_dir)


def _pair(text: str) -> tuple[str, str]:
    """Split ``CERT[:KEY]``."""
    certificate, _, key = text.partition(":")
    return certificate, key or certificate


def _in_directory(directory: str) -> list[tuple[str, str]]:
    """Return the certificates of a directory, each with its key.

    Raises:
        UsageError: It cannot be read, or has none.
    """
    try:
        with os.scandir(directory) as entries:
            found = [pair for entry in sorted(entries, key=_name) for pair in _of_entry(entry)]
    except OSError as error:
        raise UsageError(
            f"--ssl-cert-dir {directory} cannot be read: {error.strerror}",
            "give the path of a directory that this user may read",
        ) from None
    if not found:
        raise UsageError(
            f"--ssl-cert-dir {directory} has no certificate in it",
            "put NAME.pem there with certificate and key, or NAME.crt and NAME.key",
        )
    return found


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _of_entry(entry: os.DirEntry[str]) -> Iterator[tuple[str, str]]:
    """Give the certificate that an entry of a directory stands for, and its key, if it does for one."""
    stem, suffix = os.path.splitext(entry.path)  # noqa: PTH122  # a tenth of what a Path takes
    if suffix in _SUFFIXES and entry.is_file():
        yield entry.path, f"{stem}.key" if _stamp(f"{stem}.key") else entry.path
    elif entry.is_dir():
        pairs = [(f"{entry.path}/{one}", f"{entry.path}/{key}") for one, key in _INSIDE]
        yield from [pair for pair in pairs if _stamp(pair[0])][:1]


def _files(config: Config, more: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return every file that is read, with the option that says so."""
    single = [(_shown(name), getattr(config, name)) for name in _PATHS]
    further = "--ssl-sni-cert" if config.ssl_cert_dir is None else "--ssl-sni-cert or --ssl-cert-dir"
    return [
        *((option, path) for option, path in single if path is not None),
        *(("--ssl-crl", path) for path in config.ssl_crl),
        *((further, path) for pair in more for path in pair),
    ]


def _open(option: str, path: str) -> None:
    """Open a file, so that one that cannot be read is told by its option.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise UsageError(
            f"{option} {path} cannot be read: {error.strerror}",
            "give the path of a file in the form PEM that this user may read",
        ) from None


def _arguments(config: Config) -> dict[str, Any]:
    """Return what the core is told of one certificate, without tickets."""
    ciphers, suites = _split_ciphers(config.ssl_ciphers)
    certificate = config.ssl_certfile or ""
    return {
        "certificate": os.fsencode(certificate),
        "key": os.fsencode(config.ssl_keyfile or certificate),
        "password": config.ssl_keyfile_password,
        "http2": config.http2 is not False and versions.has_http2(),
        "lowest": TLS_1_3 if config.ssl_min_version == "1.3" else TLS_1_2,
        "highest": TLS_1_2 if config.ssl_version == ONLY_1_2 else 0,
        "ciphers": ciphers,
        "suites": suites,
        "clients": config.ssl_cert_reqs,
        "tells_faults": config.ssl_cert_errors == "tell",
        "authorities": None if config.ssl_ca_certs is None else os.fsencode(config.ssl_ca_certs),
        "revoked": tuple(map(os.fsencode, config.ssl_crl)),
        "more": (),
        "seed": None,
        "ticket_seconds": round(config.ssl_ticket_lifetime),
    }


def _split_ciphers(text: str | None) -> tuple[str | None, str | None]:
    """Return the ciphers of TLS 1.2 and those of TLS 1.3; ``None`` for the defaults."""
    if not text or text == NO_CIPHERS:
        return None, None
    names = [name for name in re.split("[:,; ]+", text) if name]  # what OpenSSL takes between them
    suites = [name for name in names if name.startswith("TLS_")]
    others = [name for name in names if not name.startswith("TLS_")]
    return ":".join(others) or None, ":".join(suites) or None


def _remedy(fault: str, files: list[tuple[str, str]]) -> str:
    """Return what to do about what the core has found.

    Args:
        fault: What it says; it begins with the path of a file, if there is one at fault.
        files: Every file, with the option that says so.
    """
    if fault == NOT_BUILT:
        return "install OpenSSL (Debian: apt-get install libssl-dev) and build Tricorn again"
    if " is locked with " in fault:
        return "give the key's password with --ssl-keyfile-password"
    if " names no cipher " in fault or " names a cipher " in fault:
        return "give --ssl-ciphers names that 'openssl ciphers' lists, or leave it out"
    if " holds no list of revoked " in fault:
        return "give --ssl-crl a file in the form PEM, which begins with BEGIN X509 CRL"
    options = {option for option, path in files if fault.startswith(f"{path} ")}
    if "--ssl-ca-certs" in options:
        return "give --ssl-ca-certs a file of certificates in the form PEM"
    further = [option for option in options if option.startswith("--ssl-sni-cert")]
    if further:
        return f"give {further[0]} certificates and their keys in the form PEM"
    return "give a certificate with --ssl-certfile and its key with --ssl-keyfile, both in the form PEM"


def _age(path: str, begins: int, ends: int) -> str:
    """Return a sentence on a certificate that is of no use now: clients refuse it, and a new one may be on its way."""
    if ends < 0:
        return f"The certificate {path} has expired {_span(-ends)} ago: clients will refuse it"
    if begins > 0:
        return f"The certificate {path} is not good before {_span(begins)} from now"
    return ""


def _span(seconds: int) -> str:
    """Return a time in words, in days or hours."""
    return f"{seconds // DAY} day(s)" if seconds >= DAY else f"{-(-seconds // HOUR)} hour(s)"


def shown(url: str, config: Config) -> str:
    """Return an address as clients write it."""
    return url.replace("http://", "https://", 1) if config.is_ssl else url


def _shown(name: str) -> str:
    """Return an option as the command line has it."""
    return f"--{name.replace('_', '-')}"

"""TLS: what the options say of certificates, versions and ciphers, in the terms of the core."""

from __future__ import annotations

import logging
import os
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

DAY: Final = 86400

_PATHS: Final = ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs")
_NEED_A_CERTIFICATE: Final = ("ssl_keyfile", "ssl_ca_certs", "ssl_crl", "ssl_cert_reqs")


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


def make(config: Config) -> object:
    """Read the certificates and keys.

    Returns:
        What the core's ``set_tls()`` takes.

    Raises:
        UsageError: A file cannot be had, or is not what it should be.
    """
    from tricorn import _core  # options are read without the core

    assert config.ssl_certfile is not None
    _readable(config)
    try:
        made, validities = _core.make_tls(**_arguments(config))
    except ValueError as error:
        raise UsageError(f"TLS cannot be spoken: {error}", _remedy(str(error))) from None
    for path, (begins, ends) in zip([config.ssl_certfile], validities, strict=True):
        _warn(path, begins, ends)
    if config.ssl_ca_certs is not None and not config.ssl_cert_reqs:
        _logger.warning(
            "--ssl-ca-certs changes nothing: clients are not asked for certificates (--ssl-cert-reqs)"
        )
    return made


def _arguments(config: Config) -> dict[str, Any]:
    """Return what the core is told."""
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
        "ticket_seconds": 0,
    }


def _split_ciphers(text: str | None) -> tuple[str | None, str | None]:
    """Return the ciphers of TLS 1.2 and those of TLS 1.3; ``None`` for the defaults."""
    if not text or text == NO_CIPHERS:
        return None, None
    names = text.split(":")
    suites = [name for name in names if name.startswith("TLS_")]
    others = [name for name in names if not name.startswith("TLS_")]
    return ":".join(others) or None, ":".join(suites) or None


def _readable(config: Config) -> None:
    """Open each file, so that what cannot be read is told by its option.

    Raises:
        UsageError: One cannot be read.
    """
    files = [(name, getattr(config, name)) for name in _PATHS] + [("ssl_crl", one) for one in config.ssl_crl]
    for name, path in files:
        if path is None:
            continue
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise UsageError(
                f"{_shown(name)} {path} cannot be read: {error.strerror}",
                "give the path of a file in the form PEM that this user may read",
            ) from None


def _remedy(fault: str) -> str:
    """Return what to do about what the core has found."""
    if "password" in fault:
        return "give the key's password with --ssl-keyfile-password"
    if "cipher" in fault:
        return "give --ssl-ciphers names that 'openssl ciphers' lists, or leave it out"
    if "list of revoked" in fault:
        return "give --ssl-crl a file in the form PEM, which begins with BEGIN X509 CRL"
    return "give a certificate with --ssl-certfile and its key with --ssl-keyfile, both in the form PEM"


def _warn(path: str, begins: int, ends: int) -> None:
    """Say that a certificate is of no use now; clients refuse it, and a new one may be on its way."""
    if ends < 0:
        _logger.warning(
            "The certificate %s has expired %d day(s) ago: clients will refuse it", path, -ends // DAY
        )
    elif begins > 0:
        _logger.warning("The certificate %s is not good before %d day(s) from now", path, -(-begins // DAY))


def _shown(name: str) -> str:
    """Return an option as the command line has it."""
    return f"--{name.replace('_', '-')}"

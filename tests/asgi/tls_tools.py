"""Certificates for the tests of TLS, and clients that speak it."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

from harness import TIMEOUT

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
IGNORE_UNEXPECTED_EOF = 1 << 7
"""OpenSSL's option, which Python switches on: an end that TLS does not tell of is none."""
LOCAL = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def openssl(directory: Path, *arguments: str) -> str:
    """Run ``openssl`` in a directory and return what it says."""
    done = subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout


def self_signed(directory: Path, name: str = "cert", subject: str = "/CN=localhost") -> tuple[Path, Path]:
    """Make a certificate for this machine that signs itself; return it and its key."""
    files = ("-keyout", f"{name}-key.pem", "-out", f"{name}.pem")
    openssl(directory, "req", "-x509", *EC, *files, "-days", "2", "-subj", subject, "-addext", LOCAL)
    return directory / f"{name}.pem", directory / f"{name}-key.pem"


def authority(directory: Path, name: str = "ca", subject: str = "/CN=Tests") -> Path:
    """Make a certificate that signs others, and return it."""
    return self_signed(directory, name, subject)[0]


def issue(directory: Path, name: str, subject: str, *options: str, signer: str = "ca") -> tuple[Path, Path]:
    """Make a certificate signed by ``signer`` of the same directory; return it and its key.

    Args:
        subject: As ``openssl req -subj`` takes it, UTF-8.
        options: More for ``openssl req``.
        signer: The name of the authority.
    """
    request = ("-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-utf8", "-subj", subject)
    openssl(directory, "req", "-new", *EC, *request, *options)
    signed_by = ("-CA", f"{signer}.pem", "-CAkey", f"{signer}-key.pem", "-CAcreateserial")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-days", "2", "-out", f"{name}.pem", *signed_by)
    return directory / f"{name}.pem", directory / f"{name}-key.pem"


def dial(context: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    """Open a connection over TLS."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    return context.wrap_socket(plain, server_hostname="localhost")

"""Certificates of the tests' own: such as sign themselves, and an authority that signs, revokes and lists."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

CONFIGURATION = """
[ca]
default_ca = here
[here]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
copy_extensions = copy
[any]
countryName = optional
organizationName = optional
commonName = supplied
[req]
distinguished_name = empty
[empty]
[signer]
basicConstraints = critical, CA:TRUE
subjectKeyIdentifier = hash
keyUsage = critical, keyCertSign, cRLSign
"""

LOCAL = "subjectAltName=DNS:localhost,IP:127.0.0.1"

KEYS = {"ec": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("-newkey", "rsa:2048")}


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine that signs itself, ``cert.pem``; return it and its key, ``key.pem``.

    The directory is made if it is not there.
    """
    directory.mkdir(exist_ok=True)
    files = ("-keyout", "key.pem", "-out", "cert.pem")
    subject = ("-subj", "/CN=localhost", "-addext", LOCAL)
    _openssl(directory, "req", "-x509", *KEYS["ec"], "-nodes", *files, "-days", "2", *subject)
    return directory / "cert.pem", directory / "key.pem"


class Authority:
    """Signs certificates.

    Args:
        directory: Where its files are to be; it is made.
        name: What it is called.
        signer: Who signs its own certificate; by default it does so itself.
    """

    def __init__(self, directory: Path, name: str, signer: Authority | None = None) -> None:
        directory.mkdir()
        self.directory = directory
        self.certificate = directory / "ca.pem"
        self.key = directory / "ca.key"
        for file, text in (
            ("ca.cnf", CONFIGURATION),
            ("index.txt", ""),
            ("serial", "1000"),
            ("crlnumber", "01"),
        ):
            (directory / file).write_text(text)
        make = (
            "req",
            "-config",
            "ca.cnf",
            *KEYS["ec"],
            "-nodes",
            "-keyout",
            "ca.key",
            "-subj",
            f"/CN={name}",
        )
        if signer is None:
            self._openssl(*make, "-x509", "-days", "2", "-extensions", "signer", "-out", "ca.pem")
        else:
            self._openssl(*make, "-out", "ca.csr")
            signer._sign(directory / "ca.csr", self.certificate, "-extensions", "signer")

    def issue(
        self,
        name: str,
        *hosts: str,
        kind: str = "ec",
        begins: int = -60,
        ends: int = 2 * 86400,
        subject: str = "",
    ) -> tuple[Path, Path]:
        """Sign a certificate.

        Args:
            name: What it is for.
            hosts: Names of hosts in it; addresses begin with ``IP:``.
            kind: ``ec`` or ``rsa``.
            begins: When it begins to be good, in seconds from now.
            ends: When it ceases to.
            subject: Its whole name, where that is more than ``name``: as ``openssl req -subj`` takes it, UTF-8.

        Returns:
            The files of the certificate and of its key.
        """
        stem = f"{name.replace('*', '_')}-{len(list(self.directory.iterdir()))}"
        certificate, key = self.directory / f"{stem}.pem", self.directory / f"{stem}.key"
        names = ",".join(host if host.startswith("IP:") else f"DNS:{host}" for host in hosts)
        extension = ("-addext", f"subjectAltName={names}") if hosts else ()
        make = (
            "req",
            "-config",
            "ca.cnf",
            *KEYS[kind],
            "-nodes",
            "-keyout",
            str(key),
            "-utf8",
            "-subj",
            subject or f"/CN={name}",
        )
        self._openssl(*make, *extension, "-out", f"{stem}.csr")
        dates = ("-startdate", _stamp(begins), "-enddate", _stamp(ends))
        self._sign(self.directory / f"{stem}.csr", certificate, *dates)
        return certificate, key

    def revoke(self, certificate: Path) -> None:
        """Revoke a certificate; lists made later have it."""
        self._openssl("ca", "-config", "ca.cnf", "-revoke", str(certificate))

    def revoked(self, name: str = "revoked.pem") -> Path:
        """Write the list of what was revoked."""
        self._openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", name)
        return self.directory / name

    def _sign(self, request: Path, certificate: Path, *options: str) -> None:
        files = ("-in", str(request), "-out", str(certificate))
        self._openssl("ca", "-config", "ca.cnf", "-batch", "-notext", *files, *options)

    def _openssl(self, *arguments: str) -> None:
        _openssl(self.directory, *arguments)


def _openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _stamp(seconds: int) -> str:
    """Return a time as certificates have it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y%m%d%H%M%SZ")

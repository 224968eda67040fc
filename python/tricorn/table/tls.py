"""TLS: certificates and keys, versions and ciphers, and what is asked of clients."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option
from tricorn.table.kinds import timeout

GROUP: Final = "TLS"

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "ssl-certfile",
        GROUP,
        "Speak HTTPS with the certificate in this file, PEM, the server's own first and then those that signed it.",
        metavar="PATH",
    ),
    Option(
        "ssl-keyfile",
        GROUP,
        "The file of the certificate's private key, PEM.",
        unset="the file of the certificate",
        metavar="PATH",
    ),
    Option(
        "ssl-keyfile-password",
        GROUP,
        "The password of the private key.",
        metavar="TEXT",
        secret=True,
    ),
    timeout(
        "ssl-handshake-timeout",
        GROUP,
        "From connecting to the end of the TLS handshake; the time for the first request begins there.",
        10.0,
        field="handshake_ms",
        attack="handshakes that are never finished",
        answer="closed",
    ),
    Option(
        "ssl-version",
        GROUP,
        "Python's number of a protocol: 17 or 2 for every version that is good, 5 for TLS 1.2 alone.",
        "integer",
        17,
        metavar="NUMBER",
        choices=("17", "2", "5"),
        minimum=2,
        maximum=17,
    ),
    Option(
        "ssl-min-version",
        GROUP,
        "The lowest version of TLS that is spoken.",
        default="1.2",
        metavar="VERSION",
        choices=("1.2", "1.3"),
    ),
    Option(
        "ssl-ciphers",
        GROUP,
        "Ciphers, as OpenSSL writes them; those whose names begin with TLS_ are for TLS 1.3.",
        unset="Mozilla's intermediate profile",
        metavar="LIST",
    ),
    Option(
        "ssl-cert-reqs",
        GROUP,
        "Whether clients are asked for a certificate: 0 for no, 1 for one if they have any, 2 where none may come"
        " without. One that is not good ends the connection.",
        "integer",
        0,
        metavar="NUMBER",
        choices=("0", "1", "2"),
        minimum=0,
        maximum=2,
    ),
    Option(
        "ssl-ca-certs",
        GROUP,
        "The file of the certificates by which clients' are verified, PEM.",
        metavar="PATH",
    ),
    Option(
        "ssl-crl",
        GROUP,
        "A file with lists of clients' certificates that were revoked, PEM; each of the signers must have one then."
        " May be given several times.",
        default=(),
        metavar="PATH",
        multiple=True,
    ),
    Option(
        "ssl-cert-errors",
        GROUP,
        "What becomes of a client's certificate that is not good, with --ssl-cert-reqs 1: refuse ends the connection;"
        " tell serves it, and the application must look at client_cert_error.",
        default="refuse",
        metavar="WORD",
        choices=("refuse", "tell"),
    ),
    Option(
        "ssl-sni-cert",
        GROUP,
        "A further certificate, for clients that name one of its hosts; its key's file may follow after a colon. May be"
        " given several times.",
        default=(),
        metavar="CERT[:KEY]",
        multiple=True,
    ),
    Option(
        "ssl-cert-dir",
        GROUP,
        "A directory with further certificates: NAME.pem or NAME.crt, with NAME.key where the key is not in it, or a"
        " directory NAME with fullchain.pem and privkey.pem, or with tls.crt and tls.key.",
        metavar="DIRECTORY",
    ),
    Option(
        "ssl-reload",
        GROUP,
        "Read certificates, keys and lists again when their files change, for new connections; SIGHUP has it done,"
        " too.",
        "flag",
        False,
    ),
    Option(
        "ssl-session-tickets",
        GROUP,
        "Let clients resume their sessions, which spares both sides most of a handshake.",
        "flag",
        True,
        negative=True,
    ),
    Option(
        "ssl-ticket-lifetime",
        GROUP,
        "How long a session can be resumed; the keys of tickets change as often.",
        "seconds",
        3600.0,
        metavar="SECONDS",
        minimum=1,
        maximum=86400,
    ),
)

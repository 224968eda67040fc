"""The options of TLS: what goes together, what the core is told, and what is said of files that are no good."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tricorn import Config, _core, tls, versions
from tricorn.errors import UsageError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "asgi"))

from authority import Authority

CA = {"ssl_certfile": "c.pem", "ssl_ca_certs": "ca.pem"}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing."""


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates, for tests of the core's TLS."""
    if not versions.has_tls():
        pytest.skip("TLS is not built in")
    return Authority(tmp_path_factory.mktemp("options") / "ca", "Tests")


@pytest.fixture(scope="session")
def files(ours: Authority) -> dict[str, str]:
    """Return options with a certificate and its key."""
    certificate, key = ours.issue("localhost", "localhost")
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ssl_keyfile": "k.pem"}, "--ssl-keyfile is given without --ssl-certfile"),
        ({"ssl_ca_certs": "ca.pem"}, "--ssl-ca-certs is given without --ssl-certfile"),
        ({"ssl_cert_reqs": ssl.CERT_REQUIRED}, "--ssl-cert-reqs is given without --ssl-certfile"),
        ({"ssl_crl": ("r.pem",)}, "--ssl-crl is given without --ssl-certfile"),
        ({"ssl_certfile": "c.pem", "ssl_cert_reqs": 2}, "--ssl-cert-reqs 2 is given without --ssl-ca-certs"),
        ({**CA, "ssl_crl": ("r.pem",)}, "--ssl-crl is given, and clients are not asked"),
        ({**CA, "ssl_cert_reqs": 2, "ssl_cert_errors": "tell"}, "--ssl-cert-errors tell has a meaning with"),
        ({**CA, "ssl_version": 5, "ssl_min_version": "1.3"}, "--ssl-version 5 is TLS 1.2"),
        ({"ssl_version": 3}, "ssl_version must be one of 17, 2, 5, not 3"),
        ({"ssl_min_version": "1.1"}, "ssl_min_version must be one of 1.2, 1.3"),
    ],
)
def test_what_cannot_be_meant_is_told(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config(app, **options)
    assert str(caught.value).startswith(problem)


def test_values_of_pythons_ssl_are_taken(files: dict[str, str]) -> None:
    """As programs give them to uvicorn."""
    version = ssl.PROTOCOL_TLS_SERVER
    config = Config(app, **files, ssl_version=version, ssl_cert_reqs=ssl.CERT_NONE, ssl_ciphers="TLSv1")
    assert config == Config(app, **files)
    assert config.is_ssl and not Config(app).is_ssl
    paths = {name: Path(path) for name, path in files.items()}
    assert Config(app, **paths) == config


@pytest.mark.parametrize(
    ("text", "ciphers", "suites"),
    [
        (None, None, None),
        ("TLSv1", None, None),
        ("ECDHE+AESGCM:!aNULL", "ECDHE+AESGCM:!aNULL", None),
        ("TLS_AES_256_GCM_SHA384", None, "TLS_AES_256_GCM_SHA384"),
        ("A:TLS_B:C:TLS_D", "A:C", "TLS_B:TLS_D"),
        ("A,TLS_B; !C TLS_D", "A:!C", "TLS_B:TLS_D"),
        (":", None, None),
    ],
)
def test_ciphers_are_told_apart(text: str | None, ciphers: str | None, suites: str | None) -> None:
    assert tls._split_ciphers(text) == (ciphers, suites)


def problem_of(**options: Any) -> str:
    """Return what is said of options whose files are no good."""
    with pytest.raises(UsageError) as caught:
        tls.make(Config(app, **options))
    assert caught.value.remedy
    return str(caught.value)


def test_file_that_cannot_be_read_is_told_by_its_option(files: dict[str, str], tmp_path: Path) -> None:
    none = str(tmp_path / "none.pem")
    assert problem_of(ssl_certfile=none).startswith(f"--ssl-certfile {none} cannot be read: No such file")
    assert "--ssl-keyfile" in problem_of(**{**files, "ssl_keyfile": none})
    assert "--ssl-ca-certs" in problem_of(**files, ssl_ca_certs=none)
    more = {"ssl_cert_reqs": 1, "ssl_ca_certs": files["ssl_certfile"]}
    assert "--ssl-crl" in problem_of(**files, **more, ssl_crl=(none,))
    assert "Is a directory" in problem_of(ssl_certfile=str(tmp_path))


def test_file_that_is_something_else_is_told(files: dict[str, str], ours: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    certificate, key = files["ssl_certfile"], files["ssl_keyfile"]
    assert f"{empty} holds no certificate" in problem_of(ssl_certfile=str(empty))
    assert f"{certificate} holds no private key" in problem_of(ssl_certfile=certificate)
    assert f"{empty} holds no private key" in problem_of(ssl_certfile=certificate, ssl_keyfile=str(empty))
    other = ours.issue("other")[1]
    assert "is not the key of the certificate" in problem_of(ssl_certfile=certificate, ssl_keyfile=str(other))
    further = problem_of(**files, ssl_sni_cert=(str(empty),))
    assert further.endswith("give --ssl-sni-cert certificates and their keys in the form PEM")
    signers = problem_of(**files, ssl_ca_certs=str(empty))
    assert f"{empty} holds no certificate" in signers
    assert signers.endswith("give --ssl-ca-certs a file of certificates in the form PEM")
    asks = {**files, "ssl_cert_reqs": 2, "ssl_ca_certs": str(ours.certificate)}
    assert "holds no list of revoked certificates" in problem_of(**asks, ssl_crl=(key,))


@pytest.mark.parametrize("name", [b"\xff.pem", "é".encode() * 120 + b"/" + b"e" * 120 + b".pem"])
def test_faulty_file_with_a_strange_name_is_told(files: dict[str, str], tmp_path: Path, name: bytes) -> None:
    """Its name is no UTF-8, or so long that it is cut; what is wrong is told all the same."""
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("nothing\n")
    told = problem_of(ssl_certfile=str(path))
    assert ".pem holds no certificate: no start line; give a certificate" in told
    told.encode()  # it can be written to any log


@pytest.mark.parametrize("form", ["pkcs8 -topk8", "ec -aes256"])
def test_password_that_is_missing_or_wrong_is_told(files: dict[str, str], tmp_path: Path, form: str) -> None:
    """Of keys in the form of today, and of the one before it."""
    locked = str(tmp_path / "locked.pem")
    command = [
        "openssl",
        *form.split(),
        "-in",
        files["ssl_keyfile"],
        "-out",
        locked,
        "-passout",
        "pass:secret",
    ]
    subprocess.run(command, check=True, capture_output=True)
    options = {**files, "ssl_keyfile": locked}
    missing = problem_of(**options)
    assert f"{locked} is locked with a password, and none was given; give the key's password" in missing
    assert "another password than the one given" in problem_of(**options, ssl_keyfile_password="wrong")
    assert tls.make(Config(app, **options, ssl_keyfile_password="secret"))


@pytest.mark.parametrize("ciphers", ["NONE", "TLS_NONE", "ECDHE+AESGCM:TLS_NONE"])
def test_unknown_cipher_is_told(files: dict[str, str], ciphers: str) -> None:
    assert "openssl ciphers" in problem_of(**files, ssl_ciphers=ciphers)


@pytest.mark.parametrize(
    ("begins", "ends", "word"),
    [(-3 * 86400, -86400 - 60, "has expired 1 day(s) ago"), (3000, 7200, "is not good before 1 hour(s)")],
)
def test_certificate_that_is_not_good_now_is_told(
    ours: Authority, caplog: pytest.LogCaptureFixture, begins: int, ends: int, word: str
) -> None:
    certificate, key = ours.issue("localhost", begins=begins, ends=ends)
    with caplog.at_level(logging.WARNING, "tricorn.error"):
        tls.warn(tls.make(Config(app, ssl_certfile=str(certificate), ssl_keyfile=str(key))))
    assert f"{certificate} {word}" in caplog.text


def test_authorities_that_nobody_is_verified_by_are_told(files: dict[str, str], ours: Authority) -> None:
    (warning,) = tls.make(Config(app, **files, ssl_ca_certs=str(ours.certificate))).warnings
    assert "--ssl-ca-certs changes nothing" in warning


def arguments(files: dict[str, str]) -> dict[str, Any]:
    """Return what the core is told of these files."""
    return tls._arguments(Config(app, **files))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"clients": 3}, ValueError),
        ({"seed": b"short"}, ValueError),
        ({"more": ((b"a",),)}, TypeError),
        ({"more": (("a", "b"),)}, TypeError),
        ({"more": (None,)}, TypeError),
        ({"more": ((b"a", b"b"),) * 1024}, ValueError),
        ({"revoked": ("r",)}, TypeError),
        ({"certificate": b"a\0b"}, ValueError),
        ({"authorities": 5}, TypeError),
        ({"lowest": 0x0304, "highest": 0x0303}, ValueError),
    ],
)
def test_core_refuses_what_makes_no_sense(
    files: dict[str, str], change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        _core.make_tls(**{**arguments(files), **change})


def test_core_takes_what_it_made_and_nothing_else(files: dict[str, str]) -> None:
    made, validities = _core.make_tls(**arguments(files))
    assert type(made).__name__ == "PyCapsule"
    ((begins, ends),) = validities
    assert begins < 0 < ends <= 2 * 86400
    with pytest.raises(TypeError):
        _core.make_tls()  # type: ignore[call-arg]


class Core:
    """Counts what it is given."""

    def __init__(self) -> None:
        self.given: list[object] = []

    def use(self, context: object) -> None:
        """Take a context."""
        self.given.append(context)


def settled(keeper: tls.Keeper) -> None:
    """Wait until nothing is read."""
    deadline = time.monotonic() + 10
    while keeper._reader is not None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_reading_is_asked_for_at_any_time(files: dict[str, str]) -> None:
    """Also while it goes on, often; the last one counts."""
    core = Core()
    keeper = tls.Keeper(Config(app, **files), core.use, tls.new_seed())
    keeper.start()
    assert len(core.given) == 1
    for _ in range(50):
        keeper.again()
    settled(keeper)
    assert 2 <= len(core.given) <= 51
    assert len(set(map(id, core.given))) == len(core.given)


def test_reading_that_fails_does_not_end_reading(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    core = Core()
    keeper = tls.Keeper(Config(app, **files), core.use, tls.new_seed())

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(tls.threading.Thread, "start", refuse)
        keeper.again()
    assert "stay as they were read before: can't start new thread" in caplog.text
    keeper.again()
    settled(keeper)
    assert len(core.given) == 1


def test_end_of_the_process_waits_for_reading(files: dict[str, str]) -> None:
    """It would take OpenSSL down while it reads."""
    program = (
        "import sys, time; from tricorn import Config, tls\n"
        "async def app(scope, receive, send): pass\n"
        "class Slow(tls.Keeper):\n"
        "    def _read_once(self):\n"
        "        time.sleep(0.3)\n"
        "        super()._read_once()\n"
        "config = Config(app, ssl_certfile=sys.argv[1], ssl_keyfile=sys.argv[2])\n"
        "Slow(config, lambda context: print('given'), tls.new_seed()).again()\n"
    )
    command = [sys.executable, "-c", program, files["ssl_certfile"], files["ssl_keyfile"]]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "given\n")


@pytest.mark.parametrize(
    ("names", "problem"),
    [((), "has no certificate in it"), (("README", "a.key", "b/other.pem"), "has no certificate in it")],
)
def test_directory_without_certificates_is_told(
    files: dict[str, str], tmp_path: Path, names: tuple[str, ...], problem: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert problem in problem_of(**files, ssl_cert_dir=str(tmp_path))
    assert "cannot be read: No such file" in problem_of(**files, ssl_cert_dir=str(tmp_path / "none"))


def test_further_certificates_are_told_by_their_option(files: dict[str, str], tmp_path: Path) -> None:
    assert "--ssl-sni-cert none.pem cannot be read" in problem_of(**files, ssl_sni_cert=("none.pem",))
    key = files["ssl_keyfile"]
    wrong = problem_of(**files, ssl_sni_cert=(f"{files['ssl_certfile']}:{files['ssl_certfile']}",))
    assert "holds no private key" in wrong
    assert "holds no certificate" in problem_of(**files, ssl_sni_cert=(key,))


def test_build_without_tls_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the core's words, with what to do."""

    def refuse(**_: object) -> None:
        raise ValueError(tls.NOT_BUILT)

    file = tmp_path / "any.pem"
    file.write_text("")
    monkeypatch.setattr(_core, "make_tls", refuse)
    line = problem_of(ssl_certfile=str(file))
    assert line.startswith("TLS cannot be spoken: this build does not speak TLS; install OpenSSL")

"""``tricorn dev-cert``: what it writes, and who takes it."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tricorn
from tricorn import _core, dev_cert, versions
from tricorn.errors import StartupError, UsageError

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")


def invoke(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(dev_cert.build(), list(arguments), prog_name="tricorn dev-cert")


def text_of(certificate: Path) -> str:
    """Return what openssl says of a certificate."""
    command = ["openssl", "x509", "-in", str(certificate), "-noout", "-text"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_writes_a_certificate_and_a_key_that_nobody_else_may_read(tmp_path: Path) -> None:
    result = invoke("--out", str(tmp_path / "new"), "--host", "App.Example", "--host", "10.0.0.1")
    assert result.exit_code == 0
    certificate, key = tmp_path / "new" / "dev-cert.pem", tmp_path / "new" / "dev-key.pem"
    assert f"tricorn main:app --ssl-certfile {certificate} --ssl-keyfile {key}" in result.output
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    text = text_of(certificate)
    assert "DNS:app.example, IP Address:10.0.0.1, DNS:localhost, IP Address:127.0.0.1" in text
    assert "IP Address:0:0:0:0:0:0:0:1" in text
    assert "NIST CURVE: P-256" in text and "ecdsa-with-SHA256" in text
    assert "CA:FALSE" in text and "TLS Web Server Authentication" in text
    assert "CN = app.example" in text


def test_numbers_differ_and_time_is_bounded(tmp_path: Path) -> None:
    numbers = set()
    for name, days in (("a", 397), ("b", 1)):
        certificate, _ = dev_cert.write(tmp_path / name, (), days)
        context = ssl.create_default_context(cafile=str(certificate))
        (facts,) = context.get_ca_certs() or [ssl._ssl._test_decode_cert(str(certificate))]  # type: ignore[attr-defined]
        begins, ends = (ssl.cert_time_to_seconds(facts[one]) for one in ("notBefore", "notAfter"))
        assert ends - begins == days * 86400
        numbers.add(facts["serialNumber"])
    assert len(numbers) == 2


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "deep.app.localhost"])
def test_clients_that_trust_it_are_served(tmp_path: Path, host: str) -> None:
    certificate, key = dev_cert.write(tmp_path, ("*.app.localhost",), 1)
    files = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    context = ssl.create_default_context(cafile=str(certificate))
    with tricorn.running(app, port=0, lifespan="off", **files) as server:
        assert server.urls[0].startswith("https://127.0.0.1:")
        port = int(server.urls[0].rpartition(":")[2])
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        with context.wrap_socket(plain, server_hostname=host) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
    assert answer.endswith(b"https") or b"\r\nhttps\r\n" in answer
    assert threading.active_count() >= 1


def test_files_that_are_there_stay_unless_forced(tmp_path: Path) -> None:
    first, key = dev_cert.write(tmp_path, (), 1)
    before = first.read_bytes()
    with pytest.raises(UsageError, match=r"dev-cert\.pem is there already; .*--force"):
        dev_cert.write(tmp_path, (), 1)
    assert first.read_bytes() == before
    key.chmod(0o644)
    assert invoke("--out", str(tmp_path), "--force").exit_code == 0
    assert first.read_bytes() != before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="cannot be written"):
        dev_cert.write(tmp_path / "file" / "under", (), 1)
    for replace in (False, True):
        with pytest.raises(StartupError, match="file cannot be written: File exists"):
            dev_cert.write(tmp_path / "file", (), 1, replace=replace)


def test_certificate_in_the_way_leaves_no_key_behind(tmp_path: Path) -> None:
    (tmp_path / "dev-cert.pem").write_text("")
    with pytest.raises(UsageError, match=r"dev-cert\.pem is there already"):
        dev_cert.write(tmp_path, (), 1)
    assert not (tmp_path / "dev-key.pem").exists()


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("LOCALHOST.", "localhost"),
        ("[::1]", "::1"),
        ("0:0::1", "::1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.a.example", "*.a.example"),
        ("*.App.localhost", "*.app.localhost"),
    ],
)
def test_hosts_have_one_form(given: str, plain: str) -> None:
    assert dev_cert._plain(given) == plain


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a,DNS:b",
        "a/b",
        "-",
        "a..b",
        "*",
        "a.*",
        "x" * 64,
        ".".join(["y" * 60] * 5),
        "ü" * 64,
        "a\0",
        "fe80::1%eth0",
        "*.localhost",
    ],
)
def test_host_that_is_none_is_told(host: str) -> None:
    with pytest.raises(UsageError, match="is no name or address"):
        dev_cert._plain(host)


def test_hosts_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 100 hosts"):
        dev_cert.write(tmp_path, tuple(f"h{n}.example" for n in range(98)), 1)
    long = ".".join(["z" * 60] * 4)
    certificate, _ = dev_cert.write(tmp_path, (long, *(f"h{n}.example" for n in range(96))), 1)
    text = text_of(certificate)
    assert text.count("DNS:") == 98 and "CN = h0.example" in text


def test_core_refuses_what_cannot_be_in_a_certificate() -> None:
    for hosts in ("", "IP:1.2.3", "WHAT:a"):
        with pytest.raises(ValueError, match="cannot be in a certificate"):
            _core.make_dev_cert("a", hosts, 1)
    with pytest.raises(ValueError, match="cannot be in a certificate"):
        _core.make_dev_cert("a" * 65, "DNS:a", 1)
    with pytest.raises(TypeError):
        _core.make_dev_cert("a")  # type: ignore[call-arg]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, "-m", "tricorn", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_program_has_the_command(tmp_path: Path) -> None:
    done = run("dev-cert", "--out", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    again = run("dev-cert", "--out", str(tmp_path))
    assert again.returncode == 2
    assert again.stderr.startswith("ERROR:    ") and len(again.stderr.splitlines()) == 1
    assert "--days" in run("dev-cert", "--help").stdout
    wrong = run("dev-cert", "--days", "398")
    assert wrong.returncode == 2 and "see 'python -m tricorn dev-cert --help'" in wrong.stderr
    assert "dev-cert" in run("--help").stdout

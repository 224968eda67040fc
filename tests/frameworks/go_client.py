"""Builds the client of Go's net/http in ``go_client``, and runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serving import Site

SOURCE = Path(__file__).parent / "go_client"
TIMEOUT = 60.0
COLD = 600.0
"""How long a first build may take, in seconds: it makes Go's own library, too."""


def build(directory: Path) -> Path:
    """Build the client and return the program; the test is skipped where there is no Go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go is installed (Debian: apt-get install golang-go)")
    program = directory / "goclient"
    # Nothing is downloaded, and no C compiler is needed.
    settings = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GO111MODULE": "on"}
    if "HOME" not in os.environ:
        settings["GOCACHE"] = os.fspath(directory / "cache")
    done = subprocess.run(
        [go, "build", "-o", os.fspath(program), "."],
        cwd=SOURCE,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=COLD,
    )
    assert done.returncode == 0, done.stderr
    return program


@dataclass(frozen=True)
class GoClient:
    """The client, for one version of HTTP.

    Args:
        program: What ``build`` returned.
        options: Its options, before what is to be done.
    """

    program: Path
    options: tuple[str, ...] = ()

    def run(self, site: Site, what: str, path: str, *more: object) -> Any:
        """Do something with a path of a site, and return the report."""
        done = subprocess.run(
            self.command(site, what, path, *more), capture_output=True, text=True, timeout=TIMEOUT
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def running(self, site: Site, path: str, workers: int) -> Iterator[dict[str, Any]]:
        """Send requests one after another, by so many workers, until the context ends; it gives the report then."""
        report: dict[str, Any] = {}
        command = self.command(site, "until-eof", path, workers)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield report
                said, _ = process.communicate(timeout=TIMEOUT)
            except BaseException:
                process.kill()
                raise
        assert process.returncode == 0
        report.update(json.loads(said))

    def command(self, site: Site, what: str, path: str, *more: object) -> list[str]:
        """Return the command that does it."""
        assert site.identity is not None
        certificate = os.fspath(site.identity.certificate)
        arguments = [what, site.url + path, *map(str, more)]
        return [os.fspath(self.program), "-ca", certificate, *self.options, *arguments]

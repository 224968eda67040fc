"""What a run needs before it starts: an environment for each peer, all of one interpreter, and the load generator."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.servers import LIMIT, OWN, SYSTEM, Server

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"

DESCRIBE = """
import importlib.metadata, json, platform, sys
print(json.dumps({
    "python": sys.version.replace("\\n", " "),
    "base": getattr(sys, "_base_executable", sys.executable),
    "packages": {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()},
}))
"""


class Unusable(Exception):
    """An environment or a program cannot be used; the text says why."""


@dataclass(frozen=True)
class Environment:
    """An installed environment and what is in it; the limit has no interpreter."""

    programs: Path
    python: str
    packages: dict[str, str]

    def versions(self, server: Server) -> str:
        """Name the server's packages that matter with their versions."""
        known = (name for name in server.shown if name in self.packages)
        return ", ".join(f"{name} {self.packages[name]}" for name in known)


def run_checked(command: list[str]) -> str:
    """Run a command and return what it printed; its last lines are the text of the failure."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unusable(f"{Path(command[0]).name} failed: " + (done.stderr or done.stdout).strip()[-400:])
    return done.stdout


def default_python() -> str:
    """Return the interpreter that the project was built for, so that the peers run on the same."""
    own = ROOT / ".venv" / "bin" / "python"
    return str(own.resolve()) if own.exists() else "/usr/bin/python3"


def install(python: str, name: str, packages: tuple[str, ...]) -> Path:
    """Make the environment `name` with these packages, unless it is there; return the folder of its programs."""
    folder = BUILD / "env" / name
    stamp = folder / "installed.json"
    wanted = json.dumps([python, packages])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {' '.join(packages)}", file=sys.stderr)
        run_checked([python, "-m", "venv", "--clear", str(folder)])
        run_checked([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *packages])
        stamp.write_text(wanted)
    return folder / "bin"


def framework_path(python: str, packages: tuple[str, ...]) -> str:
    """Return the folder of an environment with what an application needs, for every server's path."""
    programs = install(python, "frameworks", packages)
    return run_checked(
        [str(programs / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    ).strip()


def build_limit() -> Environment:
    """Build the server without Python as the extension is built; return where its program is."""
    folder, own = BUILD / "limit", ROOT / ".venv" / "bin"
    if not (folder / "build.ninja").exists():
        settings = ("-Dextension=false", "-Dbuildtype=release", "-Db_ndebug=if-release")
        run_checked([str(own / "meson"), "setup", str(folder), *settings])
    run_checked([str(own / "meson"), "compile", "-C", str(folder), "bench_limit"])
    return Environment(folder, "", {})


def system_program(server: Server) -> Environment:
    """Return the environment of a server that the system's packages bring, called as its program."""
    program = shutil.which(server.name)
    if program is None:
        raise Unusable(f"{server.name} is not installed (Debian: apt-get install {server.name})")
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    version = (told.stdout + told.stderr).strip().rpartition("/")[2]
    return Environment(Path(program).parent, "", {server.name: version})


def prepare(server: Server, python: str) -> Environment:
    """Return the server's environment, installed if it was not."""
    if server.environment == LIMIT:
        return build_limit()
    if server.environment == SYSTEM:
        return system_program(server)
    if server.environment == OWN:
        programs = ROOT / ".venv" / "bin"
    else:
        programs = install(python, server.environment, server.packages)
    if not (programs / "python").exists():
        raise Unusable("the project is not built: run `make build`")
    facts = json.loads(run_checked([str(programs / "python"), "-c", DESCRIBE]))
    return Environment(programs, facts["python"], facts["packages"])


def same_interpreter(environments: dict[str, Environment]) -> str:
    """Return the one interpreter of all environments; figures from two interpreters cannot be compared."""
    found = {environment.python for environment in environments.values() if environment.python}
    if len(found) > 1:
        raise Unusable("the environments have different interpreters: " + "; ".join(sorted(found)))
    return found.pop() if found else "none"


def compiled(names: Sequence[str], program: Path, *options: str) -> Path:
    """Compile C files of this folder, unless their program is newer than all of them, and return the program.

    It takes its place at once, so that others may be running or making it.
    """
    paths = [ROOT / "bench" / name for name in names]
    if not program.exists() or program.stat().st_mtime < max(path.stat().st_mtime for path in paths):
        program.parent.mkdir(parents=True, exist_ok=True)
        settings = ("-std=gnu11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra")
        sources = [str(path) for path in paths if path.suffix == ".c"]
        fresh = program.with_name(f"{program.name}.{os.getpid()}")
        run_checked(["gcc", *settings, "-o", str(fresh), *sources, *options])
        fresh.replace(program)
    return program


LOAD_BASE = ("load_base.c", "load_base.h")


def load_generator() -> Path:
    """Return the program of bench/load.c."""
    return compiled(("load.c", "load_tls.c", "load_tls.h", *LOAD_BASE), BUILD / "load", "-lssl", "-lcrypto")


def socket_load_generator() -> Path:
    """Return the program of bench/load_ws.c."""
    return compiled(("load_ws.c", *LOAD_BASE), BUILD / "load_ws", "-lz")


def http2_load_generator() -> Path:
    """Return the program of bench/load_h2.c."""
    return compiled(("load_h2.c", *LOAD_BASE), BUILD / "load_h2", "-lnghttp2")


def credentials() -> Path:
    """Return the folder with a certificate of ECDSA and its key, which every server speaks TLS with."""
    folder = BUILD / "tls"
    if not (folder / "certificate.pem").exists():
        folder.mkdir(parents=True, exist_ok=True)
        kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650")
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
        fresh = folder / "fresh.pem"
        run_checked(["openssl", "req", *kind, *names, "-keyout", str(folder / "key.pem"), "-out", str(fresh)])
        fresh.replace(folder / "certificate.pem")
    return folder


def steady_clock() -> Path:
    """Return the library of bench/clock.c."""
    return compiled(("clock.c",), BUILD / "clock.so", "-shared", "-fPIC")


def raise_descriptors() -> None:
    """Allow this process, and with it every server and client, as many open descriptors as the system lets it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

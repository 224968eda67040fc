"""The import of curio: on every Python that the machine has, and without a trace in the standard library.

Each test runs a program in a Python of its own, because an import happens once in a process.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "python/tricorn/_backends/_curio_import.py"
SPEC = importlib.util.find_spec("curio")
NEWER = ("3.12", "3.13")

# What every program starts with: the module under test, by its file, because the package needs its core.
HEAD = """
import importlib.util, multiprocessing.connection as connection, ssl, sys
spec = importlib.util.spec_from_file_location("curio_import", sys.argv[1])
curio_import = importlib.util.module_from_spec(spec)
spec.loader.exec_module(curio_import)
import_curio = curio_import.import_curio
NAMES = {(connection, "CHALLENGE"), (connection, "WELCOME"), (connection, "FAILURE"), (ssl, "wrap_socket")}
def present():
    return {(module.__name__, name) for module, name in NAMES if hasattr(module, name)}
before = present()
"""

# What a Python of 3.11 is turned into, to be like a newer one.
FORGET = """
for module, name in NAMES:
    if hasattr(module, name):
        delattr(module, name)
before = present()
assert not before
"""


def newer_python(version: str) -> str | None:
    """Return the interpreter of a version, from the path or from pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    own = [sys.executable] if sys.version_info[:2] == tuple(map(int, version.split("."))) else []
    found = [
        *own,
        *sorted(map(str, root.glob(f"versions/{version}.*/bin/python3"))),
        shutil.which(f"python{version}"),
    ]
    return next((path for path in found if path), None)


def interpreters() -> list[object]:
    """Return this Python, this Python made to forget the names, and the newer ones that are found."""
    rows = [pytest.param(sys.executable, "", id="this"), pytest.param(sys.executable, FORGET, id="forgetful")]
    for version in NEWER:
        if path := newer_python(version):
            rows.append(pytest.param(path, "", id=version))
    return rows


def run(python: str, program: str) -> str:
    """Run a program with the curio of this environment, pure Python as it is, and return what it printed."""
    if SPEC is None or SPEC.origin is None:
        pytest.skip("curio is not installed")
    environment = {**os.environ, "PYTHONPATH": os.fspath(Path(SPEC.origin).parents[1])}
    command = [python, "-c", HEAD + program, os.fspath(MODULE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("python", "prepare"), interpreters())
def test_curio_runs_and_the_standard_library_is_as_before(python: str, prepare: str) -> None:
    program = """
curio = import_curio()
assert present() == before, present()
async def main():
    task = await curio.spawn(curio.sleep, 0)
    await task.join()
    return sys.modules["curio"] is curio
print(curio.run(main))
"""
    assert run(python, prepare + program) == "True\n"


@pytest.mark.parametrize(("python", "prepare"), interpreters())
def test_an_application_imports_curio_afterwards(python: str, prepare: str) -> None:
    program = """
ours = import_curio()
import curio
from curio import ssl as curio_ssl, traps, sched
from curio.channel import CHALLENGE
print(curio is ours, CHALLENGE)
"""
    assert run(python, prepare + program) == "True b'#CHALLENGE#'\n"


@pytest.mark.parametrize(("python", "prepare"), interpreters())
def test_a_second_import_touches_nothing(python: str, prepare: str) -> None:
    program = """
first = import_curio()
touched = []
class Watched(type(ssl)):
    def __setattr__(self, name, value):
        touched.append(name)
        super().__setattr__(name, value)
ssl.__class__ = Watched
print(import_curio() is first, touched)
"""
    assert run(python, prepare + program) == "True []\n"


@pytest.mark.parametrize(("python", "prepare"), interpreters())
def test_threads_import_at_the_same_time(python: str, prepare: str) -> None:
    program = """
import threading
sys.setswitchinterval(1e-6)
found = []
start = threading.Barrier(8)
def body():
    start.wait()
    found.append(import_curio())
threads = [threading.Thread(target=body) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(map(id, found))), present() == before)
"""
    assert run(python, prepare + program) == "8 1 True\n"


@pytest.mark.parametrize(("python", "prepare"), interpreters())
def test_a_failing_import_leaves_nothing_behind(python: str, prepare: str) -> None:
    program = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "curio.kernel":
            raise ImportError("not there", name=name)
sys.meta_path.insert(0, Missing())
try:
    import_curio()
except ImportError as error:
    print(error.name, present() == before)
del sys.meta_path[0]
print(import_curio().__name__, present() == before)
"""
    assert run(python, prepare + program) == "curio.kernel True\ncurio True\n"


@pytest.mark.parametrize(("python", "prepare"), interpreters())
def test_a_failed_import_of_the_application_does_no_harm(python: str, prepare: str) -> None:
    program = """
try:
    import curio
except AttributeError:
    pass
print(import_curio().run.__name__, present() == before)
"""
    assert run(python, prepare + program) == "run True\n"


def test_names_that_are_there_are_kept() -> None:
    program = """
ssl.wrap_socket = kept = lambda: None
import_curio()
print(ssl.wrap_socket is kept)
"""
    assert run(sys.executable, program) == "True\n"


def test_without_curio_the_error_is_an_import_error() -> None:
    program = """
sys.modules["curio"] = None
try:
    import_curio()
except ImportError as error:
    print("refused", present() == before)
"""
    assert run(sys.executable, program) == "refused True\n"


def test_the_lent_values_are_those_that_curio_had() -> None:
    program = """
from multiprocessing import connection
values = {name: value for _, name, value in curio_import._NAMES if isinstance(value, bytes)}
words = {name: getattr(connection, name, None) or getattr(connection, "_" + name) for name in values}
print(values == {name: word if word.startswith(b"#") else b"#" + word + b"#" for name, word in words.items()})
"""
    assert run(sys.executable, program) == "True\n"

"""How an application is called (``--interface``), and what it finds set: its environment and its context variables."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Run, fails
from harness import APPS, Serve
from websocket_client import reach

HERE = ("--app-dir", str(APPS), "--port", "0")


@pytest.mark.parametrize(
    ("app", "options", "version"),
    [
        ("Double", (), "2.0"),
        ("double", (), "2.0"),
        ("double", ("--interface", "asgi2"), "2.0"),
        ("hidden", ("--interface", "asgi2"), "2.0"),
        ("single", (), "3.0"),
        ("single", ("--interface", "asgi3"), "3.0"),
    ],
)
def test_versions_of_asgi(
    shared: Serve, library: str, app: str, options: tuple[str, ...], version: str
) -> None:
    """With its lifespan; the version is told."""
    server = shared(f"interfaces:{app}", library, *options)
    assert server.ask("POST", "/", b"body").body == f"{version} True body".encode()


def test_a_websocket_of_asgi_2(shared: Serve, library: str) -> None:
    server = shared("interfaces:Double", library)
    with reach(server) as peer:
        assert peer.message() == "2.0"


def test_a_failure_of_the_first_call(shared: Serve, library: str) -> None:
    server = shared("interfaces:failing", library)
    assert server.ask().status == 500
    assert "ValueError: in the first call" in server.log()


def test_an_interface_that_is_not_the_applications(own: Serve, library: str) -> None:
    """Is believed: each request fails, and the log shows why."""
    server = own("interfaces:double", library, "--interface", "asgi3")
    assert server.ask().status == 500
    assert "TypeError: double() takes 1 positional argument but 3 were given" in server.log()


def test_context_variables(shared: Serve, library: str) -> None:
    """A request sees what the program has set, unless it is to see nothing; never what another request has.

    The tasks of curio have no context variables of their own: there the start-up sets the program's.
    """
    outer = b"the lifespan's" if library == "curio" else b"the program's"
    for _ in range(2):
        assert shared("interfaces:context", library).ask().body == outer
        reset = shared("interfaces:context", library, "--reset-contextvars")
        assert reset.ask().body == b"nothing"


# --- the environment of a file


def test_env_file(own: Serve, library: str, tmp_path: Path) -> None:
    """It is read before the application is imported, and changes nothing that is set."""
    file = tmp_path / "settings"
    file.write_text(
        "# comment\nexport TRICORN_TEST_GREETING='good day'\nTRICORN_TEST_KEPT=file\n", encoding="utf-8"
    )
    environment = {"TRICORN_TEST_KEPT": "environment"}
    server = own("interfaces:greeting", library, "--env-file", str(file), environment=environment)
    assert server.ask().body == b"good day environment"


def test_env_file_is_not_for_the_servers_own_options(run: Run, tmp_path: Path) -> None:
    """As with uvicorn: the command's own variables are those of the environment."""
    file = tmp_path / "settings"
    file.write_text("TRICORN_ROOT_PATH=nonsense\n", encoding="utf-8")
    server = run("interfaces:greeting", *HERE, "--env-file", str(file))
    assert server.ask().status == 200


def test_env_file_that_is_not_there(tmp_path: Path) -> None:
    lines = fails("interfaces:greeting", *HERE, "--env-file", str(tmp_path / "missing"), code=2)
    assert len(lines) == 1 and "missing: there is no such file" in lines[0]


def test_env_file_without_what_reads_it(tmp_path: Path) -> None:
    (tmp_path / "dotenv.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    environment = {"PYTHONPATH": str(tmp_path)}
    lines = fails("interfaces:greeting", *HERE, "--env-file", "/dev/null", code=3, environment=environment)
    assert len(lines) == 1 and "pip install 'tricorn[dotenv]'" in lines[0]

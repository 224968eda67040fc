"""The environment that a file gives to the application: ``--env-file``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tricorn.errors import StartupError, UsageError


def load(file: str) -> None:
    """Set the variables of a file of ``NAME=VALUE`` lines that the environment does not have yet.

    Args:
        file: A path, relative to the current directory.

    Raises:
        UsageError: There is no such file, or it is a directory.
        StartupError: python-dotenv is not installed, or the file cannot be read.
    """
    if not Path(file).exists():
        raise UsageError(f"--env-file {file}: there is no such file", "give the path of one")
    if Path(file).is_dir():
        raise UsageError(f"--env-file {file}: it is a directory", "give the path of a file")
    try:
        dotenv = import_module("dotenv")
    except ImportError:
        raise StartupError(
            "--env-file needs python-dotenv, which is not installed", "pip install 'tricorn[dotenv]'"
        ) from None
    try:
        dotenv.load_dotenv(dotenv_path=file)
    except (OSError, ValueError) as error:  # UTF-8 that is none, or a NUL
        raise StartupError(f"--env-file {file}: it cannot be read: {error}") from None

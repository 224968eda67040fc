"""The errors that a user of the command or of the Python interface meets.

Each is one line: what is wrong, and what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class TricornError(Exception):
    """A problem that ends the command.

    Args:
        problem: What is wrong, without a full stop. Line breaks are folded into spaces.
        remedy: What the user can do, if anything is known; it follows the problem after a semicolon.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = _one_line(problem)
        self.remedy = _one_line(remedy)
        super().__init__(f"{self.problem}; {self.remedy}" if self.remedy else self.problem)

    def __reduce__(self) -> tuple[type[TricornError], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)


class UsageError(TricornError):
    """An option or argument that cannot be meant: an unknown name, a value out of range, a contradiction."""

    exit_code: ClassVar[int] = 2


class StartupError(TricornError):
    """The server cannot start as asked: the application, the address or the library is not to be had."""

    exit_code: ClassVar[int] = 3


_EXTRAS = ("uvloop", "trio", "curio")


def missing_library(name: str) -> StartupError:
    """Return the error for an async library called ``name`` that is not installed."""
    package = f"tricorn[{name}]" if name in _EXTRAS else name
    return StartupError(
        f"the async library {name!r} is not installed",
        f"install it with 'pip install {package}', or choose another one with --async-library",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())

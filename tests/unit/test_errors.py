"""What a user is told when the command cannot go on."""

from __future__ import annotations

import pickle

import pytest

from tricorn.errors import StartupError, TricornError, UsageError, missing_library


def test_message_joins_problem_and_remedy() -> None:
    assert (
        str(TricornError("the port is taken", "choose another one"))
        == "the port is taken; choose another one"
    )


def test_message_without_remedy() -> None:
    assert str(TricornError("the port is taken")) == "the port is taken"


def test_message_is_one_line() -> None:
    error = StartupError("first\nsecond\r\n  third", "do\tthis\n")
    assert str(error) == "first second third; do this"
    assert error.problem == "first second third"
    assert error.remedy == "do this"


def test_exit_codes() -> None:
    assert UsageError("x").exit_code == 2
    assert StartupError("x").exit_code == 3
    assert issubclass(UsageError, TricornError)
    assert issubclass(StartupError, TricornError)


@pytest.mark.parametrize("kind", [TricornError, UsageError, StartupError])
def test_pickles(kind: type[TricornError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a problem", "a remedy")))
    assert type(error) is kind
    assert str(error) == "a problem; a remedy"


@pytest.mark.parametrize("name", ["uvloop", "trio", "curio"])
def test_missing_library_names_the_extra(name: str) -> None:
    error = missing_library(name)
    assert isinstance(error, StartupError)
    assert f"pip install tricorn[{name}]" in str(error)


def test_missing_library_of_a_third_party() -> None:
    assert "pip install tonio'" in str(missing_library("tonio"))

"""Which errors of an application are of its client's leaving, and no fault of its own."""

from __future__ import annotations

import pytest

from tricorn import _core
from tricorn.failures import comes_of_leaving

LEFT = _core.ClientDisconnected("the client has disconnected")


def caused(error: BaseException, by: BaseException) -> BaseException:
    """Return the error as `raise error from by` leaves it."""
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (LEFT, True),
        (caused(RuntimeError("late"), LEFT), True),
        (BaseExceptionGroup("tasks", [LEFT, caused(ValueError(), LEFT)]), True),
        (caused(RuntimeError("late"), ExceptionGroup("tasks", [LEFT])), True),
        (caused(RuntimeError("late"), ExceptionGroup("tasks", [LEFT, ValueError()])), False),
        (ExceptionGroup("tasks", [LEFT, ValueError()]), False),
        (OSError("another"), False),
    ],
)
def test_what_came_of_a_client_that_left(error: BaseException, answer: bool) -> None:
    assert comes_of_leaving(error) is answer

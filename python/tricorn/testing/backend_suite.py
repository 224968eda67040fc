"""The conformance kit: whether a backend keeps the contract of :mod:`tricorn.backends`, and the server's invariants.

With pytest, one test for each check::

    from tricorn.testing.backend_suite import BackendSuite

    class TestMine(BackendSuite):
        backend = MyBackend()

Without pytest, ``for name, check in checks(MyBackend()): check()``. Each check runs in a process of its own and
raises :class:`CheckFailed` when it fails or has not ended in time.
"""

from __future__ import annotations

import copy
import unittest
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar

from tricorn._backends.base import Backend
from tricorn.testing import _backend_calls, _backend_serving, _backend_tidy, _backend_waits
from tricorn.testing._bounded import CheckFailed, run_bounded

__all__ = ["BackendSuite", "CheckFailed", "checks", "names"]

SECONDS = 20.0

_CALLS = {**_backend_calls.CHECKS, **_backend_waits.CHECKS, **_backend_tidy.CHECKS, **_backend_serving.CHECKS}
_WITH_CANCELLATION = {**_backend_calls.STRAY_CHECKS, **_backend_serving.STRAY_CHECKS}


def names() -> list[str]:
    """Return the names of all checks."""
    return [*_CALLS, *_WITH_CANCELLATION]


def checks(
    backend: Backend,
    *,
    leave_cancellation: Callable[[], Awaitable[object]] | None = None,
    seconds: float = SECONDS,
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give each check's name, and the check to call.

    Args:
        backend: What is checked. Each check has a shallow copy, as each server has.
        leave_cancellation: ``await leave_cancellation()`` cancels the calling task as an application would that
            forgets about it. Without it, the checks that need it are left out.
        seconds: How long a check may take; one that takes longer has failed.
    """
    for name, check in _CALLS.items():
        yield name, partial(run_bounded, partial(check, copy.copy(backend)), seconds)
    if leave_cancellation is not None:
        for name, stray in _WITH_CANCELLATION.items():
            yield name, partial(run_bounded, partial(stray, copy.copy(backend), leave_cancellation), seconds)


class BackendSuite:
    """Every check as a test method; a subclass whose name begins with ``Test`` says which backend.

    Attributes:
        backend: What is checked.
        leave_cancellation: See :func:`checks`, as a ``staticmethod``; without it, its checks are skipped.
        without: The names of checks that do not apply, each with the reason.
        seconds: How long a check may take.
    """

    backend: ClassVar[Backend]
    leave_cancellation: ClassVar[Callable[[], Awaitable[object]] | None] = None
    without: ClassVar[Mapping[str, str]] = {}
    seconds: ClassVar[float] = SECONDS

    def check(self, name: str) -> None:
        """Run one check by its name."""
        if name in self.without:
            raise unittest.SkipTest(self.without[name])
        leave = type(self).leave_cancellation
        found = dict(checks(self.backend, leave_cancellation=leave, seconds=self.seconds))
        if name not in found:
            raise unittest.SkipTest("the suite does not say how a task of this library is cancelled")
        found[name]()


def _test(name: str) -> Callable[[BackendSuite], None]:
    """Return the test method of a check."""

    def test(self: BackendSuite) -> None:
        self.check(name)

    test.__name__ = f"test_{name}"
    test.__doc__ = {**_CALLS, **_WITH_CANCELLATION}[name].__doc__
    return test


for _name in names():
    setattr(BackendSuite, f"test_{_name}", _test(_name))

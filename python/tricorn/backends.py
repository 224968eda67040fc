"""The contract between Tricorn and an async library, for whoever brings one: see ``docs/backends.md``.

A backend is registered under the library's name in the entry-point group :data:`GROUP`; the conformance kit is
:mod:`tricorn.testing.backend_suite`.
"""

from tricorn._backends import GROUP, load
from tricorn._backends.base import Backend, Parking, TaskGroup

__all__ = ["GROUP", "Backend", "Parking", "TaskGroup", "load"]

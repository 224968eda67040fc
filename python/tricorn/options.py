"""Every option of the server in one table.

The command line, the environment variables, the config file, the defaults of :class:`tricorn.config.Config` and the
reference pages in ``docs/`` all come from :data:`OPTIONS`. To add an option, add a row to the module of its group in
``tricorn/table`` and a field to ``Config``.
"""

from __future__ import annotations

from typing import Any, Final

from tricorn.option import Option
from tricorn.table import (
    application,
    binding,
    fields,
    http2,
    limits,
    log,
    processes,
    proxies,
    reload,
    stopping,
    timeouts,
    tls,
    websockets,
)

APP: Final = application.APP
LIMITS: Final = limits.GROUP
HTTP2: Final = http2.GROUP
TIMEOUTS: Final = timeouts.GROUP
WEBSOCKETS: Final = websockets.GROUP
TLS: Final = tls.GROUP

_MODULES: Final = (
    binding,
    application,
    processes,
    reload,
    proxies,
    log,
    fields,
    timeouts,
    stopping,
    limits,
    websockets,
    tls,
    http2,
)
GROUPS: Final = tuple(module.GROUP for module in _MODULES)
COMMON: Final = tuple(
    group for group in GROUPS if group in {binding.GROUP, application.GROUP, "Processes", log.GROUP}
)
"""The groups whose options most servers need."""
OPTIONS: Final[tuple[Option, ...]] = tuple(row for module in _MODULES for row in module.ROWS)
BY_ATTRIBUTE: Final[dict[str, Option]] = {option.attribute: option for option in OPTIONS}


def default(attribute: str) -> Any:
    """Return the default of the option whose name in Python is ``attribute``."""
    return BY_ATTRIBUTE[attribute].default

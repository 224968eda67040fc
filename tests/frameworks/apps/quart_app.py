"""The routes of ``shared`` in Quart."""

from __future__ import annotations

import quart_routes
from quart import Quart

app = Quart(__name__)
quart_routes.install(app)

"""The routes of ``shared`` in Quart-Trio."""

from __future__ import annotations

import quart_routes
from quart_trio import QuartTrio

app = QuartTrio(__name__)
quart_routes.install(app)

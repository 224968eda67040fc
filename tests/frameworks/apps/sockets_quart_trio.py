"""The WebSockets of test_sockets.py in Quart-Trio."""

from __future__ import annotations

import sockets_quart_routes
from quart_trio import QuartTrio

app = QuartTrio(__name__)
sockets_quart_routes.add(app)

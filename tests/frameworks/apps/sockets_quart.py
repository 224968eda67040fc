"""The WebSockets of test_sockets.py in Quart."""

from __future__ import annotations

import sockets_quart_routes
from quart import Quart

app = Quart(__name__)
sockets_quart_routes.add(app)

"""The paths of ``ws_shared`` in Quart-Trio."""

from quart_trio import QuartTrio
from ws_quart_routes import add_routes

app = QuartTrio(__name__)
add_routes(app)

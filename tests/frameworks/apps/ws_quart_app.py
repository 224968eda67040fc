"""The paths of ``ws_shared`` in Quart."""

from quart import Quart
from ws_quart_routes import add_routes

app = Quart(__name__)
add_routes(app)

"""A server in a thread, for a program without an async library; `python examples/embed_thread.py trio`."""

from __future__ import annotations

import sys
from urllib.request import urlopen

from hello import app

import tricorn

library = sys.argv[1] if len(sys.argv) > 1 else "auto"

with tricorn.running(app, port=0, async_library=library) as server, urlopen(server.url) as answer:
    print(answer.read().decode())

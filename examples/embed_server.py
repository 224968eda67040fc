"""A server made of a configuration, as programs for uvicorn make theirs; `python examples/embed_server.py`.

Only the import differs: `import tricorn as uvicorn` would do. The server runs in a thread, which is the well-known
way to have one in tests; `await server.serve()` runs it in a task.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from urllib.request import urlopen

from hello import app

import tricorn


class Server(tricorn.Server):
    @contextlib.contextmanager
    def run_in_thread(self) -> Iterator[str]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            while not self.started and thread.is_alive():
                time.sleep(0.001)
            host, port = self.servers[0].sockets[0].getsockname()
            yield f"http://{host}:{port}"
        finally:
            self.should_exit = True
            thread.join()


server = Server(tricorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
with server.run_in_thread() as url, urlopen(url) as answer:
    print(answer.read().decode())

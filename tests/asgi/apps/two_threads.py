"""Two servers in threads of one program, each on a library of its own making.

Run as a program with the name of a library; prints what clients of both were answered.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from typing import Any

from tricorn._backends import load
from tricorn.config import Config
from tricorn.server import Service

REQUEST = b"POST / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body, which comes late."""
    assert scope["type"] == "http"
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Start both, then have a request of each wait for its body before any is sent."""
    servers = [
        Service(Config("two_threads:app", port=0, lifespan="off"), app, load(sys.argv[1])) for _ in range(2)
    ]
    threads = [threading.Thread(target=server.backend.run, args=(server.main,)) for server in servers]
    for thread in threads:
        thread.start()
    clients = []
    for server in servers * 4:
        address = ("127.0.0.1", int(server.urls[0].rpartition(":")[2]))
        client = socket.create_connection(address, timeout=10)
        client.sendall(REQUEST)
        clients.append(client)
    while sum(server.core.counters()["active"] for server in servers) < len(clients):
        pass
    for number, client in enumerate(clients):
        client.sendall(b"%03d" % number)
    answers = [b"".join(iter(lambda client=client: client.recv(65536), b"")) for client in clients]
    for server in servers:
        server.core.interrupt()
    for thread in threads:
        thread.join(10)
    bodies = [answer[-3:].decode() for answer in answers]
    print(json.dumps({"bodies": bodies, "alive": sum(thread.is_alive() for thread in threads)}))


if __name__ == "__main__":
    main()

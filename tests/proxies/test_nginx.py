"""nginx in front, as ``docs/proxies.md`` has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fronts import CLIENT, free_port, host_of

FIELDS = """
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port 8443;
            proxy_set_header X-Forwarded-Prefix /api;
            proxy_set_header Forwarded "";
"""


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_fields(serve: Any, front: Any, tmp_path: Path, kind: str) -> None:
    """What the client says of itself is left of what nginx adds, and not believed."""
    port, at = free_port(), free_port()
    path = tmp_path / "socket"
    if kind == "tcp":
        serve("--port", str(port))
        upstream = f"127.0.0.1:{port}"
    else:
        serve("--uds", str(path), "--forwarded-allow-ips", "unix")
        upstream = f"unix:{path}"
    proxy = front(
        "nginx",
        f"""
    upstream app {{ server {upstream}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{at};
        location /api/ {{
            proxy_pass http://app/;{FIELDS}        }}
        location / {{ return 404; }}
    }}
""",
        at,
    )
    for _ in range(3):  # on a connection that is kept
        scope = proxy.scope("/api/a%20b?c", {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6"})
        assert scope["client"] == [CLIENT, 0]
        assert scope["scheme"] == "https"
        assert host_of(scope) == "public.example:8443"
        assert (scope["root_path"], scope["path"]) == ("/api", "/api/a b")
        assert scope["raw_path"]["bytes"] == "/api/a%20b"
    assert proxy.ask("/other")[0] == 404


def test_the_standard_field(serve: Any, front: Any) -> None:
    """Several elements, the client's own first."""
    port, at = free_port(), free_port()
    serve("--port", str(port), "--forwarded-fields", "forwarded", "--forwarded-allow-ips", "127.0.0.2")
    proxy = front(
        "nginx",
        f"""
    server {{
        listen 127.0.0.1:{at};
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_bind 127.0.0.2;
            proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=https;host=$host";
        }}
    }}
""",
        at,
    )
    for said in ("", "for=6.6.6.6;host=evil.example"):
        scope = proxy.scope("/", {"Forwarded": said, "X-Forwarded-For": "6.6.6.6"})
        assert (scope["client"], scope["scheme"]) == ([CLIENT, 0], "https")
        assert host_of(scope) == "public.example"
    # An open quote makes the field malformed: nothing is believed, and nothing is forged.
    scope = proxy.scope("/", {"Forwarded": 'for=6.6.6.6;x="'})
    assert (scope["client"][0], scope["scheme"]) == ("127.0.0.2", "http")

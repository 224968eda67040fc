"""What a WSGI application is told of its request (PEP 3333), out of the scope of ASGI."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from tricorn.wsgi.streams import ErrorLog, FileWrapper

ERRORS: Final = ErrorLog()

_COMMON: Final[dict[str, Any]] = {
    "SERVER_SOFTWARE": "tricorn",
    "wsgi.version": (1, 0),
    "wsgi.errors": ERRORS,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
    # Reading ends at the body's end, whether there is a Content-Length or not.
    "wsgi.input_terminated": True,
}


def build(scope: dict[str, Any], stream: Any, *, multiprocess: bool) -> dict[str, Any]:
    """Return the environ of a request.

    Args:
        scope: The scope of ASGI.
        stream: The value of ``wsgi.input``.
        multiprocess: The value of ``wsgi.multiprocess``.
    """
    script, path = _paths(scope)
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1")
    host, port = _server(scope)
    environ = {
        **_COMMON,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_URI": f"{target}?{query}" if query else target,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": stream,
        "wsgi.multiprocess": multiprocess,
    }
    environ["RAW_URI"] = environ["REQUEST_URI"]
    client = scope["client"]
    environ["REMOTE_ADDR"] = client[0] if client else ""
    if client and client[1]:
        environ["REMOTE_PORT"] = str(client[1])
    _add_fields(environ, scope["headers"])
    return environ


def _add_fields(environ: dict[str, Any], fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Add the fields; those of one name are joined, as RFC 9110 §5.3 and, for cookies, RFC 9113 §8.2.3 have it."""
    for name, value in fields:
        key = _key(name)
        if key is None:
            continue
        text = value.decode("latin-1")
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ","
            text = f"{environ[key]}{separator}{text}"
        environ[key] = text


@functools.lru_cache(1024)
def _key(name: bytes) -> str | None:
    """Return the key of a field, ``None`` for one that an application must not see.

    ``Proxy`` would become ``HTTP_PROXY``, which programs take for a setting of theirs ("httpoxy"). A name with an
    underscore would look like one with a dash, which a proxy may vouch for.
    """
    if b"_" in name or name == b"proxy":
        return None
    text = name.decode("latin-1").upper().replace("-", "_")
    return text if text in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{text}"


def _paths(scope: dict[str, Any]) -> tuple[str, str]:
    """Return SCRIPT_NAME and PATH_INFO: decoded bytes, each as a character (PEP 3333, "Unicode issues")."""
    root = scope.get("root_path", "").encode()
    raw = scope["raw_path"]
    path = unquote_to_bytes(raw) if b"%" in raw else raw
    if root and not _is_below(path, root):
        path = scope["path"].encode()
    if root and _is_below(path, root):
        path = path[len(root) :]
    return root.decode("latin-1"), path.decode("latin-1")


def _is_below(path: bytes, root: bytes) -> bool:
    return path == root or path.startswith(root + b"/")


def _server(scope: dict[str, Any]) -> tuple[str, str]:
    """Return SERVER_NAME and SERVER_PORT, which may not be empty: a Unix socket has neither."""
    host, port = scope["server"] or (None, None)
    if host is None or port is None:
        return "localhost", "443" if scope["scheme"] == "https" else "80"
    return host, str(port)

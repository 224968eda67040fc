"""A server started by code that a running loop executes piece by piece, as a notebook does.

`python examples/embed_notebook.py`; in a notebook, write the lines of `cells` into cells of their own.
"""

from __future__ import annotations

import ast
import asyncio
import types

cells = [
    "import asyncio, urllib.request, tricorn\nfrom hello import app",
    "serving = tricorn.running(app, port=0)\nserver = await serving.__aenter__()",
    "answer = await asyncio.to_thread(urllib.request.urlopen, server.url)\nprint(answer.read().decode())",
    "answer.close()\nawait serving.__aexit__(None, None, None)",
]


async def notebook() -> None:
    """Run each cell in the loop that runs already."""
    names: dict[str, object] = {}
    for cell in cells:
        code = compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if isinstance(result, types.CoroutineType):
            await result


asyncio.run(notebook())

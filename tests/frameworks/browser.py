"""A Chromium without a window, driven over its DevTools."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
from serving import until
from websockets.sync.client import connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--no-proxy-server", "--remote-debugging-port=0"),
)
TIMEOUT = 30.0


class Browser:
    """A browser with one empty page.

    Args:
        directory: An empty folder for its profile and its log.
        options: More options of the browser.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        assert PROGRAM is not None
        self._log = directory / "browser.log"
        self._numbers = itertools.count(1)
        command = [PROGRAM, *OPTIONS, *options, f"--user-data-dir={directory / 'profile'}", "about:blank"]
        # A sanitizer's run-time is for the server alone.
        environment = {**os.environ, "HOME": str(directory)}
        environment.pop("LD_PRELOAD", None)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def __enter__(self) -> Browser:
        try:
            self._opening = connect(self._page(), proxy=None, open_timeout=TIMEOUT, max_size=None)
            self._page_connection = self._opening.__enter__()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opening.__exit__(kind, error, trace)
        self._end()

    def run(self, function: str, *arguments: Any) -> Any:
        """Call an asynchronous function of JavaScript in the page, and return what it returns."""
        called = ", ".join(json.dumps(argument) for argument in arguments)
        parameters = {"expression": f"({function})({called})", "awaitPromise": True, "returnByValue": True}
        result = self._ask("Runtime.evaluate", parameters)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url: str) -> None:
        """Show a page, and wait until it is there."""
        result = self._ask("Page.navigate", {"url": url})
        assert "errorText" not in result, result
        there = "async () => document.readyState + ' ' + location.href"
        until(lambda: self.run(there) == f"complete {url}", f"the page {url}", TIMEOUT)

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        """Send a command to the page, and return what comes of it."""
        number = next(self._numbers)
        self._page_connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.monotonic() + TIMEOUT
        while True:
            answer = json.loads(self._page_connection.recv(deadline - time.monotonic()))
            if answer.get("id") == number:
                break
        assert "result" in answer, answer
        return answer["result"]

    def _page(self) -> str:
        """Wait for DevTools, and return the address of the page there."""
        until(lambda: self._devtools() is not None, "the browser's DevTools", TIMEOUT)
        devtools = urlsplit(self._devtools() or "").netloc
        targets = httpx.get(f"http://{devtools}/json/list", trust_env=False, timeout=TIMEOUT).json()
        address: str = next(found["webSocketDebuggerUrl"] for found in targets if found["type"] == "page")
        return address

    def _devtools(self) -> str | None:
        found = re.search(r"DevTools listening on (ws://\S+)\n", self._log.read_text(errors="replace"))
        return found[1] if found else None

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

"""Write docs/uvicorn-options.md: how the options of uvicorn's own help are taken.

Usage: ``python tools/gen_uvicorn.py`` writes the page; with ``--check`` it writes nothing, and fails when it is
not what uvicorn's help and the table of options say. uvicorn must be installed; ``tools/gen_options.py`` writes
the page as well.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))

from tricorn import uvicorn_options  # noqa: E402
from tricorn.option import Option  # noqa: E402
from tricorn.options import APP, BY_ATTRIBUTE, OPTIONS  # noqa: E402

PAGE = ROOT / "docs" / "uvicorn-options.md"

HEAD = """<!-- Written by tools/gen_uvicorn.py from uvicorn's help and python/tricorn/table: change these. -->
# uvicorn's options

`tricorn` takes the command line of `uvicorn` {version} as it stands: every option of its help is in this table,
with the same name, form and meaning unless a note says otherwise. Each can be set by uvicorn's variable, too,
which is asked after ours. What Tricorn does not do is refused with code 2 and a line that says why, never
ignored; values that ask for nothing are taken.

| option | default of uvicorn | of Tricorn | variables | how it is taken |
| --- | --- | --- | --- | --- |
"""

NOTES = {
    "host": "`::` and an empty one are every address of IPv6 and IPv4, with one worker as with many",
    "uds": "`--uds-mode` sets the permissions; the file is removed at the end",
    "fd": "any stream socket, of TCP as well",
    "loop": "trio and curio, too; `none` means asyncio. `zuvloop` is refused: it is uvicorn's own",
    "http": "`auto` is the parser in C; h11, httptools or a class of a parser, not of a protocol. `zttp` is refused",
    "ws": "`auto` is the code in C; websockets and websockets-sansio are the same; a class that makes frames",
    "ws-max-queue": "bounds every kind of frames, together with `--ws-max-queue-bytes`",
    "ws-ping-timeout": "any sign of life counts, not the pong alone",
    "interface": "WSGI runs in threads on every library; a WSGI application is known by itself in `auto`",
    "log-config": "TOML as well; uvicorn's loggers and formatters in it mean ours",
    "limit-concurrency": "counts requests at work, not idle connections (`--limit-connections` does)",
    "timeout-keep-alive": "decimals are allowed",
    "timeout-graceful-shutdown": "decimals are allowed",
    "h11-max-incomplete-event-size": "the same as `--limit-request-head`, with every parser",
    "forwarded-allow-ips": "`unix` trusts peers over Unix sockets",
    "workers": "from `WEB_CONCURRENCY`, too",
    "timeout-worker-healthcheck": "the loop itself shows that it lives, no thread",
    "root-path": "begins with a slash and does not end with one",
    "app-dir": "empty is the current directory",
}
"""What differs, or is worth knowing, by names."""

Entry = tuple[str, str]
"""An option of uvicorn's help: its name without dashes, and its default in the words of the help."""


@cache
def entries() -> tuple[Entry, ...]:
    """Return the options of uvicorn's help."""
    help = subprocess.run(
        [sys.executable, "-m", "uvicorn", "--help"], capture_output=True, text=True, check=True
    ).stdout
    parts = re.split(r"^  --(?=[a-z])", help.partition("Options:")[2], flags=re.MULTILINE)[1:]
    return tuple(_entry(part) for part in parts)


def _entry(part: str) -> Entry:
    name = re.match(r"[a-z0-9-]+", part)
    assert name is not None
    default = re.search(r"\[default: (.*?)\]", " ".join(part.split()))
    return name[0], default[1].strip('"') if default else ""


def known(name: str) -> Option | None:
    """Return our option that an option of uvicorn is, if we have it."""
    return next((option for option in OPTIONS if name in (option.name, *option.aliases)), None)


def page() -> str:
    """Return the text of the page."""
    return HEAD.format(version=metadata.version("uvicorn")) + "".join(_rows())


def _rows() -> Iterator[str]:
    for name, default in entries():
        if name not in ("help", "version"):
            yield f"| `--{name}` | {' | '.join(_cells(name, default))} |\n"
    yield f"| `APP` | | | {_variables((APP.name,))} | as `module:attribute` |\n"
    yield "| `--version`, `--help` | | | | `-h` is the help of the common options |\n"


def _cells(name: str, default: str) -> tuple[str, ...]:
    option = known(name)
    theirs = f"`{default}`" if default else ""
    if option is not None:
        ours = option.default_text
        ours = "the same" if _same(default, option) else f"`{ours}`" if option.default is not None else ours
        return theirs, ours, _variables((option.name, *option.aliases)), NOTES.get(name, "")
    keyword = uvicorn_options.missing(name, BY_ATTRIBUTE)
    problem, remedy = uvicorn_options.reason(keyword or "")
    return theirs, "", _variables((name,)), f"refused: it {problem}; {remedy}"


def _same(default: str, option: Option) -> bool:
    """Tell whether a default in uvicorn's words is ours; where its help has none, it has none, or one in words."""
    if not default:
        return option.name in _SAME_IN_WORDS or option.default in (None, (), "", False)
    if isinstance(option.default, bool):
        return default == str(option.default)
    if isinstance(option.default, (int, float)):
        return float(default) == option.default
    return default == option.default


_SAME_IN_WORDS = {
    "access-log",
    "backlog",
    "date-header",
    "log-level",
    "proxy-headers",
    "reload-exclude",
    "reload-include",
    "server-header",
    "workers",
}
"""Options whose default uvicorn's help does not show, or has in its text, and that is ours as well."""


def _variables(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in uvicorn_options.variables(names))


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with ``--check``; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = page()
    if not arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.name} is out of date: run python tools/gen_uvicorn.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Write docs/options.md and docs/limits.md from the table of options, and docs/uvicorn-options.md where uvicorn is.

Usage: ``python tools/gen_options.py`` writes the pages; with ``--check`` it writes nothing, and fails when
one is not what the table says.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))

from tricorn.option import Option  # noqa: E402
from tricorn.options import APP, GROUPS, HTTP2, LIMITS, OPTIONS, TIMEOUTS, TLS, WEBSOCKETS  # noqa: E402

NOTE = "<!-- Written by tools/gen_options.py from python/tricorn/table: change that table. -->"

OPTIONS_HEAD = f"""{NOTE}
# Options

    tricorn [OPTIONS] APP

An option is given in one of four ways; the first that is there counts:

1. on the command line: `tricorn main:app --port 9000`;
2. in the environment: `TRICORN_PORT=9000 tricorn main:app`. A flag takes `1` or `0`; an option that may be
   given several times takes its values each on a line of its own. uvicorn's options can be set by its own
   variables, too (`UVICORN_PORT`), which count after ours;
3. in the config file, `port = 9000`, with dashes or underscores ([config.md](config.md));
4. the default.

`tricorn --print-config` shows what counts, and where it comes from.

From Python it is a keyword with underscores for dashes: `tricorn.run("main:app", port=9000)`. Times are in
seconds and may have decimals, sizes are in bytes. A wrong option ends the command with code 2, a server that
cannot start with code 3, each with one line that says why.
"""

LIMITS_HEAD = f"""{NOTE}
# Limits and deadlines

Every limit stands in one struct of the core, and every one can be set. The core answers by itself when one is
hit; the application does not hear of the request, unless it already runs.
"""


def options_page() -> str:
    """Return the text of docs/options.md."""
    parts = [OPTIONS_HEAD]
    for group in GROUPS:
        rows = [APP] if group == APP.group else []
        rows += [option for option in OPTIONS if option.group == group]
        parts.append("\n".join([f"## {group}\n", *_lines(rows)]))
    return "\n".join(parts)


def limits_page() -> str:
    """Return the text of docs/limits.md."""
    parts = [LIMITS_HEAD]
    for group in (LIMITS, TIMEOUTS, WEBSOCKETS, TLS, HTTP2):
        cells = (_limit_cells(option) for option in OPTIONS if option.group == group and option.field)
        head = ("option", "default", "what it bounds", "what it stops", "what the client sees")
        parts.append("\n".join([f"## {group}\n", *_table(head, cells)]))
    return "\n".join(parts)


def _lines(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        title = option.signature if option is not APP else APP.metavar
        yield f"### `{title}`\n"
        yield f"{option.description}\n"
        facts = [f"environment {', '.join(f'`{name}`' for name in option.variables)}"]
        if option is not APP:
            facts.insert(0, _default(option))
        if option.kind in ("integer", "octal", "seconds") and not option.choices:
            facts.append(option.range_text)
        yield f"{'; '.join(facts)}.\n"


def _default(option: Option) -> str:
    if option.default is None:
        return f"default: {option.unset}"
    return f"default: `{option.default_text}`" if option.default_text else "default: empty"


def _limit_cells(option: Option) -> tuple[str, ...]:
    unit = " s" if option.kind == "seconds" and option.default is not None else ""
    return (f"`--{option.name}`", option.default_text + unit, option.help, option.attack, option.answer)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


PAGES = {"docs/options.md": options_page, "docs/limits.md": limits_page}
if importlib.util.find_spec("uvicorn"):
    import gen_uvicorn

    PAGES["docs/uvicorn-options.md"] = gen_uvicorn.page


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with ``--check``; return the exit code."""
    check = arguments == ["--check"]
    if arguments and not check:
        print(__doc__, file=sys.stderr)
        return 2
    stale = [name for name, page in PAGES.items() if not _is_current(ROOT / name, page())]
    for name in stale:
        if check:
            print(f"{name} is out of date: run python tools/gen_options.py", file=sys.stderr)
        else:
            (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
    return 1 if check and stale else 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

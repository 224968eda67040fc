"""Write docs/policy.md from the tables that the tests hold the server to, in tests/corpora/deviations.py.

Usage: ``python tools/gen_policy.py`` writes the page; with ``--check`` it writes nothing, and fails when the
page is not what the tables say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "policy.md"
sys.path.insert(0, str(ROOT / "tests" / "corpora"))

from deviations import DEVIATIONS, DIFFERENCES, RULES, SERVED  # noqa: E402

HEAD = """<!-- Written by tools/gen_policy.py from tests/corpora/deviations.py: change that table. -->
# What is a request

Tricorn reads HTTP/1.1 strictly: what two parties could read as two different messages is refused by the core, with one
answer, and the connection is closed. Nothing that follows on it is parsed, and nothing of it reaches the application.
How many and how long things may be is on [another page](limits.md).

## Rules

Where RFC 9110 and RFC 9112 leave a choice, or are often not kept, this is what Tricorn does. Each row is tested with a
request.
"""

CORPORA = """## Requests of others

The tests play the requests of [gunicorn](https://github.com/benoitc/gunicorn) (`tests/requests`) and of
[llhttp](https://github.com/nodejs/llhttp) (`test/request`) to a running server: whole, byte by byte, cut in two at each
offset, and behind another request. The answers are the same, byte for byte. A case that is not about Host and has none
is given one. The verdict is that of the corpus, but for these cases; *served* means that the application is asked.
"""

ORACLE = """## Beside h11

Requests that are generated, odd ones among them, are read by Tricorn and by
[h11](https://github.com/python-hyper/h11), with the same result: as many requests, their methods, targets, fields and
bodies, and whether what follows is refused. The two differ in these rules.
"""


def page() -> str:
    """Return the text of docs/policy.md."""
    rules = ((row.rule, _answer(row.status), row.reason) for row in RULES)
    cases = (
        ("<br>".join(f"`{case}`" for case in row.cases), row.corpus, _answer(row.status), row.reason)
        for row in DEVIATIONS
    )
    differences = ((row.what, row.h11, _answer(row.status), row.reason) for row in DIFFERENCES)
    parts = [
        HEAD,
        *_table(("rule", "answer", "why"), rules),
        CORPORA,
        *_table(("cases", "the corpus", "Tricorn", "why"), cases),
        ORACLE,
        *_table(("rule", "h11", "Tricorn", "why"), differences),
    ]
    return "\n".join(parts)


def _answer(status: int) -> str:
    return "served" if status == SERVED else str(status)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with ``--check``; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    if not arguments:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        print("docs/policy.md is out of date: run python tools/gen_policy.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Write the tables of docs/security/attacks.md from the figures that `proof/run attacks` and `proof/rivals` have left.

Usage: ``python tools/gen_attacks.py`` writes the tables; with ``--check`` it writes nothing, and fails when the page's
are others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "python")]

from proof.assaults import ATTACKS  # noqa: E402

RESULTS = ROOT / "proof" / "results"
PAGE = ROOT / "docs" / "security" / "attacks.md"
BEGIN, END = "<!-- {}: written by tools/gen_attacks.py -->", "<!-- end of {} -->"

Row = dict[str, Any]

MIB = 1 << 20
COLUMNS: dict[str, Callable[[Row], str]] = {
    "held": lambda row: f"{row['held']:,}",
    "MiB": lambda row: f"{row['grown'] / MIB:.1f}",
    "MiB kept": lambda row: f"{row['kept'] / MIB:.1f}",
    "late": lambda row: "" if row["late"] is None else f"{row['late']:,}",
    "CPU, %": lambda row: f"{100 * row['cpu'] / max(row['seconds'], 0.1):.0f}",
    "probe, ms": lambda row: f"{row['median'] * 1e3:.1f}",
    "at worst": lambda row: f"{row['worst'] * 1e3:.0f}",
}
"""The columns, and what a server has in them."""

PROBED = " (probe failed)"


def facts(read: dict[str, Any]) -> str:
    """Return the line that says when, where and how."""
    told = read["facts"]
    load = f", load {told['load']}" if "load" in told else ""
    return f"{told['date']}, commit {told['commit']}, {told['machine']}{load}: `{told['command']}`"


def cell(rows: list[Row], column: str) -> str:
    """Return what the servers have in a column, with slashes; once where all have the same."""
    texts = [COLUMNS[column](row) for row in rows]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def own(read: dict[str, Any]) -> str:
    """Return the table of Tricorn's own figures: a line for each attack, with a figure for each library."""
    libraries = list(dict.fromkeys(row["server"] for row in read["rows"]))
    lines = [facts(read), "", f"Where two figures stand, they are those on {' / '.join(libraries)}.", ""]
    lines += [f"| attack | {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    for attack in ATTACKS:
        rows = [row for row in read["rows"] if row["attack"] == attack.name]
        if rows:
            lines.append(f"| {attack.what} | {' | '.join(cell(rows, column) for column in COLUMNS)} |")
    return "\n".join(lines)


def beside(read: dict[str, Any]) -> str:
    """Return the table of several servers: what each holds, its memory and the probe's worst time."""
    servers = list(dict.fromkeys(row["server"] for row in read["rows"]))
    found = {(row["attack"], row["server"]): row for row in read["rows"]}
    lines = [facts(read), "", f"| attack | {' | '.join(servers)} |", f"| --- |{' --- |' * len(servers)}"]
    for attack in ATTACKS:
        if any((attack.name, server) in found for server in servers):
            cells = [brief(found.get((attack.name, server))) for server in servers]
            lines.append(f"| {attack.what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def brief(row: Row | None) -> str:
    """Sum up a server's figures: connections, memory, the probe, who was late; nothing where it was not attacked."""
    if row is None:
        return ""
    told = f"{row['held']:,}; {row['grown'] / MIB:.1f} MiB; {row['worst'] * 1e3:.0f} ms"
    told += f"; {row['late']:,} late" if row["late"] else ""
    return told + (PROBED if row["failures"] else "")


def replaced(text: str, name: str, table: str) -> str:
    """Return a page's text with a table in its place."""
    begin, end = BEGIN.format(name), END.format(name)
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n{table}\n{end}{after}"


def page(text: str) -> str:
    """Return the page with all tables, as far as there are figures for them."""
    for name, make in (("figures", own), ("comparison", beside)):
        path = RESULTS / {"figures": "attacks.json", "comparison": "rivals.json"}[name]
        if path.exists():
            text = replaced(text, name, make(json.loads(path.read_text())))
    return text


def main() -> int:
    """Write the page, or check it; return the exit code."""
    text = PAGE.read_text()
    wanted = page(text)
    if "--check" in sys.argv[1:]:
        return int(text != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())

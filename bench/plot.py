"""Draws a report's figures as bars: `python -m bench.plot latest.json` writes latest.svg and latest.png beside it, and
main.svg and main.png with the main rows alone.

It runs in an environment of its own, the only one with matplotlib.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from bench.workloads import MAIN_ROWS

matplotlib: Any = importlib.import_module("matplotlib")
plt: Any = importlib.import_module("matplotlib.pyplot")

OWN_COLOURS = ("#0b6e4f", "#6bbf9b")
PEER_COLOURS = ("#5b6472", "#b4bac4")


def draw_row(axes: Any, row: dict[str, Any]) -> None:
    """Draw one workload: a bar a server, of CPU time the user's part first."""
    cells = [cell for cell in row["cells"] if cell["figures"]]
    names = [cell["server"] for cell in cells]
    total = [cell["figures"][row["main"]] for cell in cells]
    dark = [cell["figures"].get("user", whole) for cell, whole in zip(cells, total, strict=True)]
    pairs = [OWN_COLOURS if name.startswith("tricorn") else PEER_COLOURS for name in names]
    axes.barh(names, dark, color=[pair[0] for pair in pairs])
    light = [whole - part for whole, part in zip(total, dark, strict=True)]
    axes.barh(names, light, left=dark, color=[pair[1] for pair in pairs])
    for place, value in enumerate(total):
        shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        axes.annotate(
            shown, (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    title = f"{row['row']}. {row['title'].replace('`', '')}"
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel(row["unit"], fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def draw(rows: list[dict[str, Any]]) -> Any:
    """Draw every workload below the other."""
    bars = [sum(1 for cell in row["cells"] if cell["figures"]) for row in rows]
    height = sum(bars) * 0.28 + len(rows) * 0.95 + 0.6
    figure, grid = plt.subplots(
        len(rows), 1, figsize=(8.5, height), squeeze=False, height_ratios=bars, layout="constrained"
    )
    for axes, row in zip(grid[:, 0], rows, strict=True):
        draw_row(axes, row)
    figure.supxlabel("of CPU time: user mode dark, system mode light", fontsize=9)
    return figure


def save(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw rows as SVG and as PNG, the same bytes for the same figures."""
    if rows:
        figure = draw(rows)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=110)
        plt.close(figure)


def main(path: Path) -> None:
    """Draw the report in `path`."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "tricorn"
    rows = json.loads(path.read_text())["rows"]
    shown = [row for row in rows if any(cell["figures"] for cell in row["cells"])]
    save(shown, path)
    save([row for row in shown if row["row"] in MAIN_ROWS], path.with_name("main.svg"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

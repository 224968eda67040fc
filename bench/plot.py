"""Draws a report's figures as bars: `python -m bench.plot latest.json` writes latest.svg and latest.png beside it.

It runs in an environment of its own, the only one with matplotlib.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

matplotlib: Any = importlib.import_module("matplotlib")
plt: Any = importlib.import_module("matplotlib.pyplot")

OWN_COLOURS = ("#0b6e4f", "#6bbf9b")
PEER_COLOURS = ("#5b6472", "#b4bac4")


def draw_row(axes: Any, row: dict[str, Any]) -> None:
    """Draw one workload: a bar a server, user time first."""
    cells = [cell for cell in row["cells"] if cell["figures"]]
    names = [cell["server"] for cell in cells]
    user = [cell["figures"]["user"] for cell in cells]
    total = [cell["figures"]["cpu"] for cell in cells]
    pairs = [OWN_COLOURS if name.startswith("tricorn") else PEER_COLOURS for name in names]
    axes.barh(names, user, color=[pair[0] for pair in pairs])
    axes.barh(
        names, [t - u for t, u in zip(total, user, strict=True)], left=user, color=[pair[1] for pair in pairs]
    )
    for place, value in enumerate(total):
        axes.annotate(
            f"{value:.1f}", (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(f"{row['row']}. {row['title'].replace('`', '')}", fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def draw(report: dict[str, Any]) -> Any:
    """Draw every workload below the other."""
    rows = [row for row in report["rows"] if any(cell["figures"] for cell in row["cells"])]
    bars = [sum(1 for cell in row["cells"] if cell["figures"]) for row in rows]
    height = sum(bars) * 0.28 + len(rows) * 0.75 + 0.6
    figure, grid = plt.subplots(
        len(rows), 1, figsize=(8.5, height), squeeze=False, height_ratios=bars, layout="constrained"
    )
    for axes, row in zip(grid[:, 0], rows, strict=True):
        draw_row(axes, row)
    grid[-1, 0].set_xlabel("µs of CPU per request: user time dark, system time light", fontsize=9)
    return figure


def main(path: Path) -> None:
    """Draw the report in `path` as SVG and as PNG, the same bytes for the same figures."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "tricorn"
    report = json.loads(path.read_text())
    if any(cell["figures"] for row in report["rows"] for cell in row["cells"]):
        figure = draw(report)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The record of what was measured, latest.json: every sample, from which the report can be made again."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.facts import Facts
from bench.figures import Cell, Row, Verdict
from bench.kinds import KINDS, Sample


@dataclass(frozen=True)
class Measured:
    """One row's samples, by the server's name; a text in place of a sample says what went wrong."""

    row: str
    facts: Facts
    samples: Mapping[str, Sequence[Sample | str]]
    versions: Mapping[str, str]
    date: str
    command: str


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    return {**dataclasses.asdict(verdict.target), "ratio": verdict.ratio, "met": verdict.met}


def cell_record(cell: Cell) -> dict[str, Any]:
    """Return a cell as plain values."""
    return {"server": cell.server, "figures": cell.figures, "void": cell.void}


def row_record(row: Row, measured: Measured) -> dict[str, Any]:
    """Return a row as plain values: what was measured, and what follows from it for readers and plots."""
    kind = KINDS[row.workload.kind]
    return {
        **dataclasses.asdict(measured),
        "title": row.workload.title,
        "main": kind.main,
        "unit": kind.unit,
        "cells": [cell_record(cell) for cell in row.cells],
        "verdicts": [verdict_record(verdict) for verdict in row.verdicts],
    }


def record(rows: Sequence[Row], measured: Mapping[str, Measured]) -> str:
    """Return everything as JSON."""
    plain = [row_record(row, measured[row.workload.row]) for row in rows]
    return json.dumps({"rows": plain}, indent=1) + "\n"


def read(path: Path) -> dict[str, Measured]:
    """Return what a record holds. KeyError or TypeError when it is of another form."""
    names = [field.name for field in dataclasses.fields(Measured)]
    found = [{name: row[name] for name in names} for row in json.loads(path.read_text())["rows"]]
    return {row["row"]: Measured(**row | {"facts": Facts(**row["facts"])}) for row in found}


def kept(path: Path) -> dict[str, Measured]:
    """Return the rows of earlier runs, each with the facts of its own."""
    if not path.exists():
        return {}
    try:
        return read(path)
    except (KeyError, TypeError):
        print(f"{path} is of another form: its rows are dropped", file=sys.stderr)
        return {}

"""The soak: mixed traffic with disconnects, errors and reloads, while memory and all that is held stay flat.

Each library has three servers, each with clients in a process of its own: one process, one process over TLS, and two
workers over TLS. All run at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.environments import ROOT

from proof import table
from proof.soak_server import VARIANTS
from proof.table import Line, Settings

SHARE = 0.3
"""How much of a core all clients together take; the servers take as much again."""

TITLE = "The soak"
LOOKS = 5.0
GRACE = 240.0
"""Seconds beyond the traffic's own within which a course must end."""


def folder_of(settings: Settings, library: str, variant: str) -> Path:
    """Return where a course keeps its logs and its lines."""
    return ROOT / "build" / "proof" / "soak" / f"{library}-{variant}"


def begin(settings: Settings, library: str, variant: str, share: float) -> subprocess.Popen[bytes]:
    """Start a course."""
    folder = folder_of(settings, library, variant)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lines.json").unlink(missing_ok=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "asgi"), os.environ.get("PYTHONPATH", "")])
    words = [library, variant, str(60 * settings.minutes), str(folder), str(share)]
    with (folder / "course.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "proof.soak_course", *words],
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=log,
        )


def said(settings: Settings, library: str, variant: str) -> list[Line]:
    """Return what a course has said so far."""
    path = folder_of(settings, library, variant) / "lines.json"
    return [Line(**line) for line in json.loads(path.read_text())] if path.exists() else []


def lines(settings: Settings) -> Iterator[Line]:
    """Run the courses, keep their tables as they go on, and give what they say."""
    variants = os.environ.get("SOAK_SERVERS", ",".join(VARIANTS)).split(",")
    courses = [(library, variant) for library in settings.libraries for variant in variants]
    share = SHARE / len(courses)
    running = {course: begin(settings, *course, share) for course in courses}
    began = time.monotonic()
    try:
        while any(process.poll() is None for process in running.values()):
            time.sleep(LOOKS)
            if time.monotonic() > began + 60 * settings.minutes + GRACE:
                break
            so_far = [line for course in courses for line in said(settings, *course)]
            minutes = (time.monotonic() - began) / 60
            so_far.append(
                Line("the run", "", f"{minutes:.0f} minutes so far", f"{settings.minutes:g}", False)
            )
            table.write("soak", TITLE, so_far, settings)
    finally:
        for process in running.values():
            process.terminate()
    for course in courses:
        yield from said(settings, *course)
        code = running[course].wait()
        if code != 0:
            log = (folder_of(settings, *course) / "course.log").read_text().strip().splitlines()
            figure = f"code {code}: {log[-1] if log else ''}"
            yield Line(f"{course[1]}: the course", course[0], figure, "to its end", False)

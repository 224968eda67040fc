"""Watching files for changes: with the package watchfiles where it is installed, else by looking at them again."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tricorn.config import Config
from tricorn.errors import UsageError

INCLUDED: Final = ("*.py",)
EXCLUDED: Final = (".*", ".py[cod]", ".sw.*", "~*")
"""The patterns of uvicorn, which a user's are added to."""

LEFT: Final = 1.0
"""Seconds that the thread has to end."""

_logger = logging.getLogger("tricorn.error")

Stamps = dict[Path, tuple[int, int, int]]
"""Files, each with what changes when its content does: time, size, inode."""


class Filter:
    """Tells which files matter.

    Args:
        includes: Patterns of file names or paths, or directories to watch as well.
        excludes: Patterns of what does not matter in spite of that, or directories.
    """

    def __init__(self, includes: Iterable[str], excludes: Iterable[str]) -> None:
        given = list(excludes)
        self._includes = [*includes, *(pattern for pattern in INCLUDED if pattern not in given)]
        self._excludes = [*given, *(pattern for pattern in EXCLUDED if pattern not in self._includes)]
        self._inside = [Path(one).resolve() for one in self._includes if Path(one).is_dir()]
        self._outside = [Path(one).resolve() for one in self._excludes if Path(one).is_dir()]

    @property
    def directories(self) -> list[Path]:
        """Directories that are to be watched as they are included by name."""
        return self._inside

    def __call__(self, path: Path) -> bool:
        """Tell whether a change of this file matters."""
        if any(self._is_same(path, pattern) for pattern in self._includes):
            return True  # a file that is named outright matters, hidden or not
        return any(path.match(pattern) for pattern in self._includes) and not self.skips(path)

    def skips(self, path: Path) -> bool:
        """Tell whether a file or directory is left out."""
        if path in self._outside or self._is_below(path, self._outside):
            return True
        return any(path.match(pattern) for pattern in self._excludes)

    @staticmethod
    def _is_same(path: Path, pattern: str) -> bool:
        return not any(char in pattern for char in "*?[") and (path.name == pattern or str(path) == pattern)

    @staticmethod
    def _is_below(path: Path, directories: list[Path]) -> bool:
        return any(directory in path.parents for directory in directories)


def directories(config: Config, matters: Filter) -> list[Path]:
    """Return what the options say to watch, none of them inside another.

    Raises:
        UsageError: One of them is not there.
    """
    named = config.reload_dir or ("", *((config.app_dir,) if config.app_dir else ()))
    missing = next((one for one in named if not Path(one).exists()), None)
    if missing is not None:
        raise UsageError(f"there is no {missing!r} to watch", "name a directory with --reload-dir")
    found = {Path(one).resolve() for one in named} | set(matters.directories)
    return sorted(one for one in found if not any(other in one.parents for other in found))


class Watcher:
    """Watches files in a thread of its own.

    Args:
        config: The options.
        changed: Called in that thread when files have changed, with their paths.
    """

    def __init__(self, config: Config, changed: Callable[[list[Path]], None]) -> None:
        self._matters = Filter(config.reload_include, config.reload_exclude)
        self._delay = config.reload_delay
        self._changed = changed
        self._stopped = threading.Event()
        self.directories = directories(config, self._matters)
        self.native = importlib.util.find_spec("watchfiles") is not None
        self._thread = threading.Thread(target=self._run, name="tricorn-reload", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread, unless its look at the files takes long: it ends with the process."""
        self._stopped.set()
        self._thread.join(LEFT)

    def _run(self) -> None:
        for paths in self._changes():
            found = sorted(path for path in paths if self._matters(path))
            if found and not self._stopped.is_set():
                self._changed(found)

    def _changes(self) -> Iterator[set[Path]]:
        """Give what the kernel tells; where it cannot, as no watches are left, what looking again and again does."""
        if self.native:
            try:
                yield from self._watched()
                return
            except OSError as error:
                _logger.warning("The kernel cannot tell of changes: %s; looking at the files instead", error)
        yield from self._polled()

    def _watched(self) -> Iterator[set[Path]]:
        """Give what watchfiles sees."""
        import watchfiles

        for changes in watchfiles.watch(
            *self.directories,
            watch_filter=None,
            stop_event=self._stopped,
            rust_timeout=200,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            paths = {Path(name) for _, name in changes}
            # What was in a new directory before the kernel was asked to tell of it is not told.
            added = {Path(name) for change, name in changes if change is watchfiles.Change.added}
            yield paths | {path for one in added for path in self._within(one)}

    def _polled(self) -> Iterator[set[Path]]:
        """Give what is different from look to look."""
        before = self._stamps()
        while not self._stopped.wait(self._delay):
            now = self._stamps()
            if now != before:
                yield {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
            before = now

    def _within(self, path: Path) -> Iterator[Path]:
        """Give the files that matter of a directory; none of a file, a link, or a directory that is left out."""
        if not path.is_symlink() and not self._matters.skips(path):
            yield from (found for found, _ in self._look(path))

    def _stamps(self) -> Stamps:
        return {path: stamp for one in self.directories for path, stamp in self._look(one)}

    def _look(self, top: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
        """Give the files below a directory that matter."""
        for folder, names, files in os.walk(top):
            names[:] = [name for name in names if not self._matters.skips(Path(folder, name))]
            for path in (Path(folder, name) for name in files):
                if not self._matters(path):
                    continue
                try:
                    now = path.stat()
                except OSError:
                    continue  # gone meanwhile
                yield path, (now.st_mtime_ns, now.st_size, now.st_ino)

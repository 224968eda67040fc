"""Watching files: which ones matter, and that every way to write one is seen, with watchfiles and by polling."""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from uvicorn.config import Config as UvicornConfig
from uvicorn.supervisors.watchfilesreload import FileFilter

from tricorn.config import Config
from tricorn.errors import UsageError
from tricorn.watching import Filter, Watcher, directories

NAMES = (
    "app.py", "page.html", "style.css", ".hidden.py", "app.pyc", ".app.py.swp", "~app.py", "app.py~", "4913",
    "a/b/app.py", ".git/hook.py", "static/x.py", "static/deep/page.html", "notes.txt", "tests/test_app.py",
)  # fmt: skip


@pytest.mark.parametrize(
    ("includes", "excludes"),
    [
        ((), ()),
        (("*.html",), ()),
        (("*.html", "*.css"), ("test_*.py",)),
        ((), ("*.py",)),
        (("static",), ()),
        ((), ("static",)),
        ((".*",), ()),
        (("*",), ("*.txt",)),
    ],
)
def test_what_matters_is_what_matters_to_uvicorn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, includes: tuple[str, ...], excludes: tuple[str, ...]
) -> None:
    """The same patterns select the same files."""
    monkeypatch.chdir(tmp_path)
    excludes = tuple(
        str(tmp_path / one) if one == "static" else one for one in excludes
    )  # theirs wants it so
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    theirs = FileFilter(
        UvicornConfig("a:b", reload=True, reload_includes=list(includes), reload_excludes=list(excludes))
    )
    ours = Filter(includes, excludes)
    for name in NAMES:
        path = tmp_path / name
        if ".git" in path.parts:
            continue  # theirs looks into hidden directories
        assert ours(path) == theirs(path), name


def test_directories_are_not_watched_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current one is the default, --app-dir comes with it, and one inside another is left out."""
    monkeypatch.chdir(tmp_path)
    for name in ("src/inner", "other"):
        (tmp_path / name).mkdir(parents=True)
    matters = Filter((), ())
    assert directories(Config("a:b"), matters) == [tmp_path]
    assert directories(Config("a:b", app_dir="/"), matters) == [Path("/")]
    found = directories(Config("a:b", reload_dirs=["src/inner", "src", "other"]), matters)
    assert found == [tmp_path / "other", tmp_path / "src"]
    found = directories(Config("a:b", reload_dirs="src"), Filter(("other",), ()))
    assert found == [tmp_path / "other", tmp_path / "src"]


def test_a_directory_that_is_not_there_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would ever change in it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no 'src' to watch; name a directory with --reload-dir"):
        directories(Config("a:b", reload_dirs=["src"]), Filter((), ()))


def test_a_directory_may_be_left_out_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the current one, which uvicorn passes over."""
    (tmp_path / "static").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not Filter((), ("static",))(tmp_path / "static" / "x.py")
    assert Filter((), ("static",))(tmp_path / "other" / "x.py")


class Seen:
    """A watcher of a directory, and what it has told."""

    def __init__(self, directory: Path, native: bool) -> None:
        self.queue: queue.Queue[list[Path]] = queue.Queue()
        self.watcher = Watcher(Config("a:b", reload_dir=[str(directory)], reload_delay=0.02), self.queue.put)
        assert self.watcher.native
        self.watcher.native = native
        self.watcher.start()

    def until(self, path: Path) -> None:
        """Wait until a change of a file was told."""
        while path not in self.queue.get(timeout=10):
            pass

    def nothing(self) -> bool:
        """Tell whether nothing is told for a while."""
        try:
            self.queue.get(timeout=0.5)
        except queue.Empty:
            return True
        return False


@pytest.fixture(params=[True, False], ids=["watchfiles", "polling"])
def seen(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Seen]:
    (tmp_path / "app.py").write_text("one")
    found = Seen(tmp_path, request.param)
    found_file = tmp_path / "first.py"
    for _ in range(200):  # watching begins some time after the thread
        found_file.write_text(str(os.urandom(4)))
        try:
            found.queue.get(timeout=0.05)
            break
        except queue.Empty:
            continue
    while not found.queue.empty() or not found.nothing():
        continue
    yield found
    found.watcher.stop()


def test_each_way_to_write_is_seen(seen: Seen, tmp_path: Path) -> None:
    """In place, by renaming a new file over it as editors do, deleting, and in a directory made later."""
    path = tmp_path / "app.py"
    path.write_text("two, and longer")
    seen.until(path)
    fresh = tmp_path / "app.py.new"
    fresh.write_text("three")
    fresh.rename(path)
    seen.until(path)
    path.unlink()
    seen.until(path)
    later = tmp_path / "package" / "module.py"
    later.parent.mkdir()
    later.write_text("four")
    seen.until(later)


def test_a_directory_that_comes_whole_is_seen(
    seen: Seen, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Moved here with all that is in it, of which nobody tells; what is hidden in it does not matter."""
    package = tmp_path_factory.mktemp("elsewhere") / "package"
    (package / "inner").mkdir(parents=True)
    (package / ".git").mkdir()
    for name in ("inner/module.py", ".git/hidden.py", "notes.txt"):
        (package / name).write_text("text")
    package.rename(tmp_path / "package")
    assert seen.queue.get(timeout=10) == [tmp_path / "package" / "inner" / "module.py"]


def test_what_does_not_matter_is_not_told(seen: Seen, tmp_path: Path) -> None:
    for name in ("notes.txt", ".app.py.swp", "app.pyc"):
        (tmp_path / name).write_text("text")
    assert seen.nothing()


def test_polling_skips_what_is_left_out(tmp_path: Path) -> None:
    """Hidden directories are not even walked, and a file that vanishes under the look does no harm."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "module.py").touch()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "app.py").touch()
    watcher = Watcher(Config("a:b", reload_dir=[str(tmp_path)]), lambda _paths: None)
    assert set(watcher._stamps()) == {tmp_path / "app.py"}


def test_where_the_kernel_has_no_watches_left_files_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The number that a user may have is small on many systems."""

    def full(*_arguments: object, **_options: object) -> Iterator[object]:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr("watchfiles.watch", full)
    monkeypatch.setattr(logging.getLogger("tricorn"), "propagate", True)
    seen = Seen(tmp_path, native=True)
    for text in map(str, range(100)):
        (tmp_path / "app.py").write_text(text)
        if not seen.nothing():
            break
    assert "OS file watch limit reached.; looking at the files instead" in caplog.text
    seen.watcher.stop()
    assert text != "99"

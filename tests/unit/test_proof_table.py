"""The proof's tables: what they show, what they count as failed, and the exit code that tells of it."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from proof import main, table
from proof.table import Line, Settings

GOOD = Line("a thing", "trio", "3 ms", "at most 5 ms", True)
BAD = Line("a|b\nc", "", "7 ms", "at most 5 ms", False)


def settings(out: Path) -> Settings:
    """What a part is told in these tests."""
    return Settings(("trio",), 0.5, out, "proof/run thing")


def part(monkeypatch: pytest.MonkeyPatch, *lines: Line, error: Exception | None = None) -> list[Settings]:
    """Have a part ``thing`` that gives these lines and then, perhaps, fails; returns what it is told."""
    told: list[Settings] = []

    def give(settings: Settings) -> Iterator[Line]:
        told.append(settings)
        yield from lines
        if error is not None:
            raise error

    module = types.ModuleType("proof.thing", "Things: they are many.\n\nMore of them.")
    module.lines = give  # type: ignore[attr-defined]
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "proof.thing", module)
    monkeypatch.setattr(main, "PARTS", ("thing",))
    return told


def test_a_table_has_a_row_a_line() -> None:
    rows = table.markdown([GOOD, BAD]).splitlines()
    assert rows[0] == "| what | library | figure | bound | held |"
    assert rows[2] == "| a thing | trio | 3 ms | at most 5 ms | yes |"
    assert rows[3] == "| a\\|b c |  | 7 ms | at most 5 ms | **no** |"


def test_a_table_without_libraries_has_no_column_for_them() -> None:
    assert table.markdown([BAD]).splitlines()[0] == "| what | figure | bound | held |"


def test_a_page_says_where_it_is_from(tmp_path: Path) -> None:
    text = table.write("thing", "Things", [GOOD, BAD], settings(tmp_path / "new")).read_text()
    assert text.startswith("# Things\n")
    assert "| command | `proof/run thing` |" in text
    assert "**1 of 2 lines did not hold**" in text
    for fact in ("date", "commit", "machine"):
        assert f"\n| {fact} | " in text
    assert "all 1 lines held" in table.write("thing", "Things", [GOOD], settings(tmp_path)).read_text()


def test_the_exit_code_is_that_of_the_worst_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part(monkeypatch, GOOD)
    assert main.main(["--out", str(tmp_path), "thing"]) == 0
    part(monkeypatch, GOOD, BAD)
    assert main.main(["--out", str(tmp_path)]) == 1
    assert table.markdown([GOOD, BAD]) in capsys.readouterr().out
    assert "# Things\n" in (tmp_path / "thing.md").read_text()


def test_a_part_that_breaks_off_keeps_its_lines_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    part(monkeypatch, GOOD, error=OSError("no luck"))
    assert main.main(["--out", str(tmp_path)]) == 1
    text = (tmp_path / "thing.md").read_text()
    assert "a thing" in text and "no luck" in text


def test_a_part_without_lines_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    part(monkeypatch)
    assert main.main(["--out", str(tmp_path)]) == 1
    assert "no lines" in (tmp_path / "thing.md").read_text()


def test_parts_are_told_what_the_command_line_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = part(monkeypatch, GOOD)
    words = ["--minutes", "0.2", "--libraries", "uvloop,trio", "--out", str(tmp_path), "thing"]
    assert main.main(words) == 0
    assert told == [Settings(("uvloop", "trio"), 0.2, tmp_path, f"proof/run {' '.join(words)}")]


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["nonsense"])
    assert ended.value.code == 2
    assert "there is no part nonsense" in capsys.readouterr().err

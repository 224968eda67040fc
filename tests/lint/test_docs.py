"""The documentation names what is there: files, commands, options, identifiers, invariants, statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from house import PACKAGE, ROOT, SRC, complain, files, name

ELSEWHERE = {
    "Python.h": "CPython's",
    "tricorn.toml": "a user's",
    "tests/requests": "in gunicorn's source",
}
"""Files that are named and are not the project's, and whose they are."""

MADE = ("build/", ".venv/")
"""Where commands put what they make."""

FILE = re.compile(
    r"[\w./*-]+\.(?:c|h|py|pyi|md|toml|json|dict|build)|(?:src|python|tests|tools|bench|proof|docs|fuzz|examples)/[\w./*-]*"
)
PLACEHOLDER = re.compile(r"(?<![A-Za-z])(?:NAME|GROUP|ROW)(?![A-Za-z])")


@cache
def pages() -> list[Path]:
    """What is written by hand or by `tools/gen_*`: the Markdown of the project but for results."""
    return [path for path in files("*.md") if "results" not in path.parts]


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line of a page, and where it stands."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        yield f"{name(path)}:{number}", line


@cache
def existing() -> frozenset[str]:
    """Every file and folder of the project, from the root."""
    return frozenset(name(path) for path in files("*"))


def exists(word: str) -> bool:
    """Whether a path, the end of one, or one with a placeholder or an asterisk, is that of a file or folder."""
    pattern = re.escape(PLACEHOLDER.sub("*", word.rstrip("/"))).replace(r"\*", "[^/]*")
    return any(re.search(rf"(?:^|/){pattern}$", path) for path in existing())


def test_links_lead_to_files() -> None:
    """A link within the project leads somewhere."""
    problems = [
        f"{place}: {target}"
        for path in pages()
        for place, line in lines(path)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", line)
        if not target.startswith("http") and not (path.parent / target).exists()
    ]
    complain(problems, "Mend the link; it is written from the folder of the page.")


def test_files_that_are_named_exist() -> None:
    """A file or folder in backquotes is there: moving or renaming one moves what is said of it."""
    problems = [
        f"{place}: {word}"
        for path in pages()
        for place, line in lines(path)
        for code in re.findall(r"`([^`]+)`", line)
        for word in code.split()
        if FILE.fullmatch(word) and not word.startswith(MADE) and word not in ELSEWHERE and not exists(word)
    ]
    complain(problems, "Name the file as it is called now, or list it in ELSEWHERE here with the reason.")


def test_identifiers_that_are_named_exist() -> None:
    """A name of the C in backquotes is one of the sources'."""
    sources = "\n".join(path.read_text() for path in files("*.c", "*.h", under=SRC))
    problems = [
        f"{place}: {word}"
        for path in pages()
        for place, line in lines(path)
        for code in re.findall(r"`([^`]+)`", line)
        for word in re.findall(r"\b(?:tri|TRI)_\w+", code)
        if word not in sources and "FILE" not in word
    ]
    complain(problems, "Name it as it is called now.")


def test_commands_that_are_named_exist() -> None:
    """What `make` is said to do, it can."""
    makefile = (ROOT / "Makefile").read_text()
    problems = [
        f"{place}: make {target}"
        for path in pages()
        for place, line in lines(path)
        for target in re.findall(r"(?:`|^    |&& )(?:[A-Z_]+=\S+ )*make ([a-z][\w-]*)", line)
        if not re.search(rf"^{target}:", makefile, re.MULTILINE)
    ]
    complain(problems, "Name a target of the Makefile.")


def test_every_page_is_linked() -> None:
    """A reader of README finds each page of docs, there or on a page that is linked there."""
    linked = {
        (path.parent / target).resolve()
        for path in pages()
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())
    }
    problems = [name(path) for path in files("*.md", under=ROOT / "docs") if path not in linked]
    complain(problems, "Link it from README.")


def test_every_fuzzer_is_described() -> None:
    """The table of fuzzers has a row for each."""
    described = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "fuzz" / "README.md").read_text(), re.MULTILINE))
    there = {path.stem.removeprefix("fuzz_") for path in files("fuzz_*.c", under=ROOT / "fuzz")}
    complain(sorted(described ^ there), "Give each fuzzer a row in fuzz/README.md.")


def test_invariants_and_statements_are_defined() -> None:
    """What a comment cites by number, ARCHITECTURE.md or docs/asgi.md tells."""
    tables = (ROOT / "ARCHITECTURE.md").read_text() + (ROOT / "docs" / "asgi.md").read_text()
    defined = {
        number.strip()
        for row in re.findall(r"^\| ([GHRWLEFI]\d[^|]*)\|", tables, re.MULTILINE)
        for number in row.split(",")
    }
    cited = re.compile(
        r"\((?:statements? )?([GHRWLEFI]\d{1,2}(?:, [GHRWLEFI]\d{1,2})*)\)|statements? ([GHRWLEFI]\d{1,2})\b"
    )
    problems = [
        f"{place}: {number}"
        for path in [
            *files("*.c", "*.h", under=SRC),
            *files("*.py", under=PACKAGE),
            *files("*.py", under=ROOT / "tests" / "asgi"),
        ]
        for place, line in lines(path)
        for match in cited.finditer(line)
        for number in (match[1] or match[2]).split(", ")
        if number not in defined
    ]
    complain(problems, "Define it in ARCHITECTURE.md (invariants) or docs/asgi.md (statements of ASGI).")

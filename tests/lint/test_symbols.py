"""What the built extension holds: few symbols seen, all well named, and nothing static that can be written."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from house import c_sources, complain, layer, name, objects, run

WRITABLE = {
    r"\w+_(spec|slots)": "PyType_FromModuleAndSpec and PyModuleDef take them as pointers to what is not const",
    r"\w+_(methods|members|getset)": "a type's slots take them as pointers to what is not const",
    r"\w+_def": "PyCFunction_NewEx keeps the pointer; PyModuleDef_Init counts references in the module's definition",
}
"""Static data that CPython's interface wants writable, by name, and why. All of it belongs to the binding."""

ELSEWHERE = {
    "src/net/watchdog.c: heeding": "a handler is told its signal's number only, and signals are the process's",
}
"""Static data of other layers, and why it cannot be handed in."""


def test_extension_exports_its_init_function_only() -> None:
    """No name of ours can collide with one of another library in the process."""
    spec = importlib.util.find_spec("tricorn._core")
    assert spec is not None and spec.origin is not None, "The extension is not installed: run `make build`."
    exported = [line.split()[-1] for line in run("nm", "-D", "--defined-only", spec.origin).splitlines()]
    assert exported == ["PyInit__core"], "Keep -fvisibility=hidden and --exclude-libs in meson.build."


def defined(path: Path) -> list[str]:
    """The external symbols that an object file defines."""
    return [line.split()[-1] for line in run("nm", "-g", "--defined-only", path).splitlines() if line]


def is_well_named(symbol: str, source: Path) -> bool:
    """Whether a symbol leads to its file: by the file's name, by a part of it, or by the header of the same name."""
    parts = source.stem.split("_")
    stems = ["_".join(parts[: n + 1]) for n in range(len(parts))]
    if any(symbol == f"tri_{stem}" or symbol.startswith(f"tri_{stem}_") for stem in stems):
        return True
    header = source.with_suffix(".h")
    return (
        symbol.startswith("tri_")
        and header.exists()
        and re.search(rf"\b{symbol}\b", header.read_text()) is not None
    )


def test_symbols_lead_to_their_file() -> None:
    """An external symbol is named after its file, or declared in the header of the same name."""
    problems = [
        f"{name(source)}: {symbol}"
        for source, path in objects().items()
        for symbol in defined(path)
        if symbol != "PyInit__core" and not is_well_named(symbol, source)
    ]
    complain(problems, "Name it tri_FILE_..., declare it in FILE.h, or make it static.")


def test_external_symbols_are_declared_in_a_header() -> None:
    """What is external is part of a contract: a header of its layer declares it."""
    declared = {}
    for path in c_sources():
        if path.suffix == ".h":
            declared[layer(path)] = declared.get(layer(path), "") + path.read_text()
    problems = [
        f"{name(source)}: {symbol}"
        for source, path in objects().items()
        for symbol in defined(path)
        if symbol != "PyInit__core" and not re.search(rf"\b{symbol}\b", declared.get(layer(source), ""))
    ]
    complain(problems, "Declare it in the header of its module, or make it static.")


def writable(path: Path) -> list[str]:
    """The objects of a file that lie in writable memory once the extension is loaded."""
    found = []
    for line in run("objdump", "-t", path).splitlines():
        match = re.match(r"\w+ .{7} (\S+)\s+(\w+)\s+(?:\.hidden )?(\S+)$", line)
        if not match or int(match[2], 16) == 0:
            continue
        section = match[1]
        if re.match(r"\.(data|bss|tdata|tbss)|\*COM\*", section) and not section.startswith(".data.rel.ro"):
            found.append(match[3])
    return found


def test_no_writable_static_data() -> None:
    """State lives in structs that are handed in, or in the module's state: one reactor a thread, no sharing."""
    problems = [
        f"{name(source)}: {symbol}"
        for source, path in objects().items()
        for symbol in writable(path)
        if layer(source) != "py" or not any(re.fullmatch(known, symbol) for known in WRITABLE)
        if f"{name(source)}: {symbol}" not in ELSEWHERE
    ]
    complain(
        problems, "Make it const, or move it into a struct; an exception needs its reason in WRITABLE here."
    )

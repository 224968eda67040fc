"""The config file: TOML with the names of the command line, read and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tricorn import uvicorn_options
from tricorn._version import __version__
from tricorn.config import Config, attribute_of
from tricorn.errors import UsageError
from tricorn.option import Option
from tricorn.options import APP, BY_ATTRIBUTE, GROUPS, OPTIONS

OWN: Final = "tricorn.toml"
SHARED: Final = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Found:
    """A config file.

    Attributes:
        name: As messages show it.
        values: What it says, by attributes, checked.
    """

    name: str
    values: dict[str, Any]


def load(given: str | None = None) -> Found | None:
    """Read the config file: the one given, else ``tricorn.toml``, else ``[tool.tricorn]`` in ``pyproject.toml``.

    Args:
        given: Its path; without it the working directory is looked in.

    Returns:
        What it says; ``None`` when none was given and none is there.

    Raises:
        UsageError: It cannot be read, is no TOML, or has a wrong key or value.
    """
    for name in (given,) if given is not None else (OWN, SHARED):
        if given is None and not Path(name).is_file():
            continue
        table = _section(name, _read(name))
        if table is not None:
            return Found(name, dict(_values(name, table)))
        if given is not None:
            raise UsageError(
                f"{name} has no section [tool.tricorn]", "add it, or give another file with --config"
            )
    return None


def _read(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"the config file {name} cannot be read: {error.strerror}", "give another one with --config"
        ) from None
    except RecursionError:
        raise UsageError(
            f"{name} is no TOML of ours: it is nested too deeply", "no option is nested"
        ) from None
    except ValueError as error:  # of TOML, UTF-8 or a number of thousands of digits
        raise UsageError(f"{name} is no TOML: {error}", "mend that line, or see toml.io") from None


def _section(name: str, table: dict[str, Any]) -> dict[str, Any] | None:
    """Return the part of a file that is ours; ``None`` when it has none."""
    if Path(name).name != SHARED:
        return table
    tools = table.get("tool")
    section = tools.get("tricorn") if isinstance(tools, dict) else None
    if section is not None and not isinstance(section, dict):
        raise UsageError(f"{name}: tool.tricorn is no table", "write the options below [tool.tricorn]")
    return section


def _values(name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Check every value of a file."""
    seen: set[str] = set()
    for key, value in table.items():
        try:
            attribute = _attribute(key, value)
        except UsageError as error:
            raise UsageError(f"{name}: {error.problem}", error.remedy) from None
        if attribute is None:
            continue
        if attribute in seen:
            raise UsageError(f"{name}: {key} is given twice", "give it once")
        seen.add(attribute)
        option = APP if attribute == APP.attribute else BY_ATTRIBUTE[attribute]
        try:
            yield attribute, _value(option, value)
        except ValueError as error:
            raise UsageError(f"{name}: {key} {error}", "'tricorn --help' describes it") from None


def _attribute(key: str, value: Any) -> str | None:
    """Return the attribute that a key means; ``None`` for one of uvicorn's that changes nothing."""
    keyword = key.replace("-", "_")
    if keyword == APP.attribute:
        return keyword
    theirs = uvicorn_options.missing(key, BY_ATTRIBUTE)
    if theirs is None:
        return attribute_of(keyword)
    uvicorn_options.accept(theirs, value, f"{key} = {json.dumps(value, default=str)}")
    return None


def _value(option: Option, value: Any) -> Any:
    """Return a value of the file in the form of the option's."""
    if option.kind == "flag" and not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    if option.multiple:
        return option.check([value] if isinstance(value, str) else value)
    if isinstance(value, str) and option.kind != "text":
        return option.parse(value)
    return option.check_one(value)


def write(config: Config, sources: Mapping[str, str]) -> str:
    """Return the text of a file that says what a configuration says.

    Args:
        config: The options.
        sources: Where values come from, by attributes; others are defaults.
    """
    lines = [f"# The configuration of tricorn {__version__}, which can be used with --config.", ""]
    lines.append(_line(APP, config.app if config.app else None, sources))
    for group in GROUPS:
        lines += ["", f"# {group}"]
        rows = (option for option in OPTIONS if option.group == group)
        lines += [_line(option, _effective(config, option), sources) for option in rows]
    return "\n".join(lines)


def _effective(config: Config, option: Option) -> Any:
    """Return an option's value; ``None`` for addresses that do not count: a file may only have those that do."""
    idle = ("host", "port", "uds", "fd") if config.bind else ("bind",)
    return None if option.attribute in idle else getattr(config, option.attribute)


def _line(option: Option, value: Any, sources: Mapping[str, str]) -> str:
    if value is None and option.default is not None:
        return f"# {option.name}: not used"
    if value is None:
        return f"# {option.name}: {option.unset}"
    if option.secret:
        return f"# {option.name}: given, and not shown  # {sources.get(option.attribute, 'default')}"
    return f"{option.name} = {_toml(option, value)}  # {sources.get(option.attribute, 'default')}"


def _toml(option: Option, value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(option, item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"0o{value:o}" if option.kind == "octal" else json.dumps(value)

"""The help of the command: the options in their groups, those that most servers need first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import click

from tricorn.option import Option
from tricorn.options import APP, COMMON, GROUPS, OPTIONS

WIDTH: Final = 80
_COLUMN: Final = 28

OTHERS: Final = (
    (
        "-c, --config FILE",
        "Read options from this TOML file instead of tricorn.toml or [tool.tricorn] in pyproject.toml.",
    ),
    ("--check-config", "Load the options and the application, say what was found, and exit."),
    ("--print-config", "Print every option as a config file, with where its value comes from, and exit."),
    ("--completion SHELL", "Print a script that completes options in bash, zsh or fish, and exit."),
    ("dev-cert", "In place of APP: write a certificate to try HTTPS with; see 'tricorn dev-cert --help'."),
    ("--version", "Show the versions of Tricorn, its core, Python and the libraries, and exit."),
    ("-h", "Show the common options, and exit."),
    ("--help", "Show every option, and exit."),
)
"""The options that are the command's alone."""

EPILOG: Final = (
    "Every option can be set in the environment and in the config file as well: --limit-drain as "
    "TRICORN_LIMIT_DRAIN=65536 or limit-drain = 65536. The command line counts before the environment, and that "
    "before the file. uvicorn's options can be set by its own variables, too, as in UVICORN_PORT."
)


def text(context: click.Context, *, short: bool) -> str:
    """Return the help.

    Args:
        context: The command's.
        short: Whether to show the common options alone, in a sentence each.
    """
    formatter = click.HelpFormatter(width=WIDTH, max_width=WIDTH)
    formatter.write_usage(context.command_path, "[OPTIONS] APP")
    formatter.write_paragraph()
    formatter.write_text("Serve the ASGI application APP over HTTP, from a core in C.")
    for group in COMMON if short else GROUPS:
        rows = [(APP.metavar, _help(APP, short))] if group == APP.group else []
        rows += [(option.signature, _help(option, short)) for option in OPTIONS if option.group == group]
        _write(formatter, group, rows)
    _write(formatter, "Other", OTHERS)
    formatter.write_paragraph()
    left = len(OPTIONS) - sum(option.group in COMMON for option in OPTIONS)
    more = f"'{context.command_path} --help' shows {left} more options: limits, deadlines, WebSockets and others."
    formatter.write_text(more if short else EPILOG)
    return formatter.getvalue().rstrip("\n")


def _write(formatter: click.HelpFormatter, group: str, rows: Iterable[tuple[str, str]]) -> None:
    with formatter.section(click.style(group, bold=True)):
        formatter.write_dl([(_painted(name), help) for name, help in rows], col_max=_COLUMN)


def _painted(signature: str) -> str:
    """Colour what is typed, not what stands for a value."""
    words = signature.split(" ")
    typed = [click.style(word, fg="cyan") if word.startswith("-") else word for word in words]
    return " ".join(typed)


def _help(option: Option, short: bool) -> str:
    default = option.default_text
    shown = f"  [default: {default}]" if default and default != "none" else ""
    if short:
        return option.help.replace("; ", ". ").partition(". ")[0].rstrip(".") + "." + shown
    return option.description + shown

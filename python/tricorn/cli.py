"""The command ``tricorn``: built from the table of options, it makes a :class:`Config` and serves."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from tricorn import logs
from tricorn._version import __version__
from tricorn.config import Config
from tricorn.errors import StartupError, TricornError
from tricorn.option import Option
from tricorn.options import APP, GROUPS, OPTIONS

_WIDTH = 80
RIVALS = (("async_library", "loop"), ("uds", "fd"))
"""Options that say the same: one on the command line takes the place of the other in the environment."""
_WORDS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), False
)
_VERSION_HELP = "Show the versions of Tricorn, its core and Python, and exit."
_INTERRUPTED = 130  # what a shell reports for a program ended by SIGINT


class _Type(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.5
    """A value of one option, read and checked by the table."""

    def __init__(self, option: Option) -> None:
        self.option = option
        self.name = option.kind

    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.option.parse(value) if isinstance(value, str) else self.option.check_one(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        names = [name for name in self.option.choices if name.startswith(incomplete)]
        return [CompletionItem(name) for name in names]


class _Command(click.Command):
    """The command with help in groups, and with errors of one line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _without_words(args, ctx))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in GROUPS:
            rows = [(option.signature, _help(option)) for option in OPTIONS if option.group == group]
            if group == APP.group:
                rows.insert(0, (APP.metavar, APP.description))
            with formatter.section(group):
                formatter.write_dl(rows, col_max=28)
        with formatter.section("Other"):
            formatter.write_dl([("--version", _VERSION_HELP), ("-h, --help", "Show this help and exit.")])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command and end the process: 0, 2 for a usage error, 3 if the server cannot start."""
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            name = error.ctx.command_path if error.ctx is not None else "tricorn"
            _fail(f"{_usage_text(error)}; see '{name} --help'")
            sys.exit(2)
        except click.ClickException as error:
            _fail(error.format_message())
            sys.exit(error.exit_code)
        except TricornError as error:
            _fail(str(error))
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(_INTERRUPTED)
        sys.exit(code)


def build() -> _Command:
    """Return the command, with a parameter for every row of the table."""
    return _Command(
        "tricorn",
        callback=_serve,
        params=[_argument(), *map(_parameter, OPTIONS), _version_option()],
        help="Serve the ASGI application APP over HTTP, from a core in C.",
        epilog="Every option can be set in the environment as well: --limit-drain as TRICORN_LIMIT_DRAIN.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH},
    )


def main(args: Sequence[str] | None = None, prog_name: str = "tricorn") -> NoReturn:
    """Run the command with ``args`` (by default those of the process) and end the process."""
    build().main(args, prog_name)


def _serve(app: str | None, **options: Any) -> int:
    """Serve, and return the exit code."""
    if app is None:
        raise click.UsageError(
            "APP is missing: name the application as module:attribute, for example 'tricorn main:app'",
            click.get_current_context(),
        )
    return serve(Config(app, **_without_rivals(options)))


def _without_rivals(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the environment says where the command line says the same by another option."""
    context = click.get_current_context()
    given = {name: context.get_parameter_source(name) for names in RIVALS for name in names}
    out = {
        name
        for names in RIVALS
        for name in names
        if given[name] is ParameterSource.ENVIRONMENT
        and any(given[other] is ParameterSource.COMMANDLINE for other in names)
    }
    return {name: value for name, value in options.items() if name not in out}


def serve(config: Config) -> int:
    """Set up logging, serve until a signal stops the server, and return the exit code.

    Raises:
        StartupError: The server cannot start, or its core is not built.
    """
    config.configure_logging()
    try:
        server = import_module("tricorn.server")
    except ImportError as error:
        raise StartupError(
            f"the core of tricorn cannot be loaded: {error}",
            "build it with 'pip install .' in the source tree",
        ) from error
    return int(server.run(config))


def _without_words(args: Sequence[str], context: click.Context) -> list[str]:
    """Put a flag's own forms where it stands with a word for true or false."""
    flags = {flag: option.name for option in OPTIONS if option.worded for flag in option.flags}
    plain: list[str] = []
    rest = list(args)
    while rest and rest[0] != "--":
        arg = rest.pop(0)
        flag, equals, word = arg.partition("=")
        if flag not in flags:
            plain.append(arg)
            continue
        if not equals:
            word = rest.pop(0) if rest and rest[0].lower() in _WORDS else "true"
        if word.lower() not in _WORDS:
            raise click.BadParameter(f"must be true or false, not {word!r}", context, param_hint=f"'{flag}'")
        plain.append(f"--{'' if _WORDS[word.lower()] else 'no-'}{flags[flag]}")
    return plain + rest


def _argument() -> click.Argument:
    # Not required here, so that the error for a missing APP can say more than click's.
    return click.Argument([APP.attribute], required=False, envvar=APP.env, metavar=APP.metavar)


def _parameter(option: Option) -> click.Option:
    if option.kind == "flag":
        names = f"--{option.name}/--no-{option.name}" if option.negative else f"--{option.name}"
        return click.Option(
            [names, option.attribute],
            is_flag=True,
            type=click.BOOL,
            default=option.default,
            envvar=option.env,
        )
    return click.Option(
        [*option.flags, option.attribute],
        type=_Type(option),
        default=option.default,
        multiple=option.multiple,
        metavar=option.metavar or None,
        envvar=option.env,
    )


def _version_option() -> click.Option:
    return click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version)


def _help(option: Option) -> str:
    default = option.default_text
    return (
        f"{option.description}  [default: {default}]" if default and default != "none" else option.description
    )


def _usage_text(error: click.UsageError) -> str:
    """Return click's message on one line; a bad value from the environment names the variable."""
    text = error.format_message().rstrip(".")
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return text
    source = error.ctx.get_parameter_source(error.param.name or "")
    if source is not ParameterSource.ENVIRONMENT:
        return text
    return f"Invalid value for the environment variable {error.param.envvar}: {error.message}"


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(version_text())
    ctx.exit()


def version_text() -> str:
    """Return what ``--version`` prints: the versions of package, core and interpreter, and the system."""
    try:
        core = f"core {getattr(import_module('tricorn._core'), '__version__', __version__)}"
    except ImportError:
        core = "no core built"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"tricorn {__version__} ({core}) with {python} on {platform.system()} {platform.machine()}"


def _fail(message: str) -> None:
    """Print an error as the log would, whatever the log level is."""
    colors = logs.use_colors(None, sys.stderr)
    line = " ".join(message.split())
    click.echo(logs.Formatter(colors).level("ERROR", 40) + line, err=True, color=colors)

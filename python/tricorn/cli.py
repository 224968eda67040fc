"""The command ``tricorn``: built from the table of options, it makes a :class:`Config` and serves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Final, NoReturn

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem, get_completion_class

from tricorn import (
    banner,
    cli_help,
    config_file,
    dev_cert,
    log_files,
    logs,
    pid_file,
    systemd,
    uvicorn_options,
    versions,
)
from tricorn.config import Config, bound_twice
from tricorn.errors import StartupError, TricornError
from tricorn.option import Option
from tricorn.options import APP, BY_ATTRIBUTE, OPTIONS

RIVALS: Final = (
    (("async_library",), ("loop",)),
    (("bind",), ("host", "port"), ("uds",), ("fd",)),
)
"""Options that say the same: one takes the place of another that was given in a less direct way."""

SHELLS: Final = ("bash", "zsh", "fish")
_WORDS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), False
)
_INTERRUPTED = 130  # what a shell reports for a program ended by SIGINT
_VARIABLES: Final = "tricorn.variables"
_FILE: Final = "tricorn.file"
_FILES: Final = {"PATH": "file", "FILE": "file", "DIRECTORY": "dir"}
"""What a shell completes in the place of an option's value."""


class _Type(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.5
    """A value of one option, read and checked by the table."""

    def __init__(self, option: Option) -> None:
        self.option = option
        self.name = option.kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.option.parse(value) if isinstance(value, str) else self.option.check_one(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if self.option.metavar in _FILES:
            return [CompletionItem(incomplete, type=_FILES[self.option.metavar])]
        names = [name for name in self.option.choices if name.startswith(incomplete)]
        return [CompletionItem(name) for name in names]


class _FromVariables(click.Parameter):
    """A parameter that several environment variables are asked for; which one it was is kept in the context."""

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the value of the first variable that has one, split where there may be several."""
        name = next((name for name in self.envvar or () if os.environ.get(name)), None)
        if name is None:
            return None
        ctx.meta.setdefault(_VARIABLES, {})[self.name] = name
        return _split(os.environ[name], name) if getattr(self, "multiple", False) else os.environ[name]


class _Option(_FromVariables, click.Option):
    """An option."""


class _Argument(_FromVariables, click.Argument):
    """The application."""


def _split(text: str, name: str) -> list[str]:
    """Split the values of a variable: at line breaks, and in those of uvicorn where uvicorn does."""
    if not name.startswith(uvicorn_options.ENV_PREFIX):
        return [line for line in text.split("\n") if line.strip()]
    option = name.removeprefix(uvicorn_options.ENV_PREFIX).lower().replace("_", "-")
    return text.split(uvicorn_options.SPLITTERS.get(option))


class _OneLine(click.Command):
    """A command whose errors are one line."""

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


class _Command(_OneLine):
    """The command, with help in groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _printing():
            return super().parse_args(ctx, _without_words(args, ctx))

    def get_help(self, ctx: click.Context) -> str:
        return cli_help.text(ctx, short=False)


def build() -> _Command:
    """Return the command, with a parameter for every row of the table."""
    return _Command(
        "tricorn",
        callback=_run,
        params=[_argument(), *map(_parameter, OPTIONS), *_refused(), *_own()],
        context_settings={
            "help_option_names": ["--help"],
            "max_content_width": cli_help.WIDTH,
            "color": False if os.environ.get("NO_COLOR") else None,
        },
    )


def main(args: Sequence[str] | None = None, prog_name: str = "tricorn") -> NoReturn:
    """Run the command with ``args`` (by default those of the process) and end the process."""
    given = list(sys.argv[1:] if args is None else args)
    if given[:1] == [dev_cert.NAME]:  # no application's name: no module has a dash in it
        dev_cert.build(_OneLine).main(given[1:], f"{prog_name} {dev_cert.NAME}")
    build().main(given, prog_name)


def _run(check_config: bool, print_config: bool, **options: Any) -> int:
    """Do what the command line says, and return the exit code."""
    context = click.get_current_context()
    values, sources = _effective(context, options)
    if print_config:
        with _printing():
            click.echo(config_file.write(Config(values.pop("app") or "", **values), sources))
        return 0
    app = values.pop("app")
    if app is None:
        raise click.UsageError(
            "APP is missing: name the application as module:attribute, for example 'tricorn main:app'",
            context,
        )
    config = Config(app, **values)
    return check(config) if check_config else serve(config, ends_process=True)


def _effective(context: click.Context, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that count, and where those that are no defaults come from."""
    ranks = {name: _rank(context, name) for name in options}
    given = {name: value for name, value in options.items() if name not in _beaten(ranks)}
    sources = {name: _source(context, name) for name in given if ranks[name] < _DEFAULT}
    addresses = [name for names in RIVALS[1] for name in names]
    if all(ranks[name] > _COMMAND_LINE for name in addresses):
        passed = systemd.sockets()
        if passed:
            given = {name: value for name, value in given.items() if name not in (*addresses, "uds_mode")}
            given["bind"], sources["bind"] = tuple(passed), "systemd"
    return given, sources


_COMMAND_LINE, _OWN_VARIABLE, _VARIABLE, _IN_FILE, _DEFAULT = range(5)
"""How directly a value was given."""


def _rank(context: click.Context, name: str) -> int:
    source = context.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return _COMMAND_LINE
    if source is ParameterSource.ENVIRONMENT:
        own = context.meta[_VARIABLES][name].startswith("TRICORN_")
        return _OWN_VARIABLE if own else _VARIABLE
    return _IN_FILE if source is ParameterSource.DEFAULT_MAP else _DEFAULT


def _source(context: click.Context, name: str) -> str:
    """Say in words where a value comes from."""
    source = context.get_parameter_source(name)
    if source is ParameterSource.ENVIRONMENT:
        return f"environment {context.meta[_VARIABLES][name]}"
    return str(context.meta[_FILE]) if source is ParameterSource.DEFAULT_MAP else "command line"


def _beaten(ranks: Mapping[str, int]) -> set[str]:
    """Return the options whose place another one has taken that was given more directly.

    Raises:
        UsageError: ``--bind`` was given in the same way as another address.
    """
    beaten: set[str] = set()
    for rivals in RIVALS:
        best = min(ranks[name] for names in rivals for name in names)
        beaten |= {name for names in rivals for name in names if best < min(ranks[one] for one in names)}
    rank = ranks["bind"]
    for names in RIVALS[1][1:]:
        for name in names:
            if rank < _DEFAULT and ranks[name] == rank:
                raise bound_twice(name)
    if "uds" in beaten and ranks["uds_mode"] >= ranks["uds"]:
        beaten.add("uds_mode")
    return beaten


def check(config: Config) -> int:
    """Load the application and all that serves it, say in a line what was found, and return the exit code.

    Raises:
        UsageError: An option or the application's name cannot be meant.
        StartupError: The application, the library or a parser is not to be had.
    """
    config.configure_logging()
    found = _module("server").probe(config)
    addresses = ", ".join(map(str, config.addresses))
    click.echo(
        f"The configuration is good: {banner.app_name(config)} is an application of {found}, for {addresses}"
    )
    return 0


def serve(config: Config, *, ends_process: bool = False) -> int:
    """Set up logging, serve until a signal stops the server, and return the exit code.

    With ``ends_process`` the process is to end then, and the application's threads may not keep it.

    Raises:
        StartupError: The server cannot start, or its core is not built.
    """
    config.configure_logging()
    how = "reloader" if config.reload else "supervisor" if config.is_supervised else "server"
    server = _module(how)
    try:
        with pid_file.held(config.pid_file):
            return int(server.run(config, ends_process=ends_process))
    finally:
        log_files.let_streams_go()


def _module(how: str) -> Any:
    """Return the module that serves so."""
    try:
        return import_module(f"tricorn.{how}")
    except ImportError as error:
        raise StartupError(
            f"the core of tricorn cannot be loaded: {error}",
            "build it with 'pip install .' in the source tree",
        ) from error


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
    return _Argument([APP.attribute], required=False, envvar=list(APP.variables), metavar=APP.metavar)


def _parameter(option: Option) -> click.Option:
    variables = list(option.variables)
    if option.kind == "flag":
        names = f"--{option.name}/--no-{option.name}" if option.negative else f"--{option.name}"
        return _Option(
            [names, option.attribute],
            is_flag=True,
            type=click.BOOL,
            default=option.default,
            envvar=variables,
        )
    return _Option(
        [*option.flags, option.attribute],
        type=_Type(option),
        default=option.default,
        multiple=option.multiple,
        metavar=option.metavar or None,
        envvar=variables,
    )


def _refused() -> Iterator[click.Option]:
    """The options of uvicorn that Tricorn does not have: known, and refused with the reason where they are used."""
    for name in sorted(uvicorn_options.NAMES):
        keyword = uvicorn_options.missing(name, BY_ATTRIBUTE)
        if keyword is None:
            continue
        flag = keyword in uvicorn_options.FLAGS
        yield _Option(
            [f"--{name}/--no-{name}" if flag else f"--{name}", keyword],
            is_flag=flag,
            default=None,
            envvar=list(uvicorn_options.variables([name])),
            hidden=True,
            expose_value=False,
            callback=_refuse,
        )


def _refuse(ctx: click.Context, param: click.Parameter, value: str | bool | None) -> None:
    """Refuse a value that asks for what Tricorn does not do."""
    if value is None or ctx.resilient_parsing:
        return
    keyword = param.name or ""
    known = next((one for one in uvicorn_options.MISSING[keyword] if str(one) == str(value)), value)
    source = ctx.get_parameter_source(keyword)
    shown = param.opts[0]
    if source is ParameterSource.ENVIRONMENT:
        shown = f"{ctx.meta[_VARIABLES][keyword]} in the environment"
    uvicorn_options.accept(keyword, known, shown)


def _own() -> list[click.Option]:
    """The options that are the command's alone."""
    flags: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
    return [
        _Option(
            ["-c", "--config"],
            metavar="FILE",
            type=click.Path(),
            envvar=["TRICORN_CONFIG"],
            is_eager=True,
            expose_value=False,
            callback=_read_config,
        ),
        click.Option(["--check-config"], is_flag=True),
        click.Option(["--print-config"], is_flag=True),
        click.Option(
            ["--completion"],
            type=click.Choice(SHELLS),
            is_eager=True,
            expose_value=False,
            callback=_completion,
        ),
        click.Option(["--version"], callback=_version, **flags),
        click.Option(["-h", "short_help"], callback=_short_help, **flags),
    ]


def _read_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Let the config file give what neither the command line nor the environment gives."""
    if ctx.resilient_parsing:
        return
    found = config_file.load(value)
    if found is not None:
        ctx.default_map = found.values
        ctx.meta[_FILE] = found.name


def _completion(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Print the script for a shell."""
    if value is None or ctx.resilient_parsing:
        return
    shell = get_completion_class(value)
    assert shell is not None
    click.echo(shell(ctx.command, {}, "tricorn", "_TRICORN_COMPLETE").source())
    ctx.exit()


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo("\n".join(versions.lines()))
        ctx.exit()


def _short_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(cli_help.text(ctx, short=True), color=ctx.color)
        ctx.exit()


@contextmanager
def _printing() -> Iterator[None]:
    """Say in one line that what was asked for cannot be printed; a reader who has left is no error to tell of."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"Cannot write to the standard output: {error.strerror}") from error


def _usage_text(error: click.UsageError) -> str:
    """Return click's message on one line; a bad value from the environment names the variable."""
    if isinstance(error, click.NoSuchOption):
        close = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        return f"there is no option {error.option_name}{close}"
    text = error.format_message().rstrip(".")
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return text
    name = error.param.name or ""
    if error.ctx.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
        return text
    variable = error.ctx.meta[_VARIABLES][name]
    return f"Invalid value for the environment variable {variable}: {error.message}"


def _fail(message: str) -> None:
    """Print an error as the log would, whatever the log level is; where nobody can read it, the exit code says it."""
    if sys.stderr is None:
        return
    colors = logs.use_colors(None, sys.stderr)
    line = " ".join(message.split())
    with suppress(OSError):
        click.echo(logs.Formatter(colors).level("ERROR", 40) + line, err=True, color=colors)

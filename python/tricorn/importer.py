"""Finding the application: import, factories, and the two generations of ASGI's calling convention."""

from __future__ import annotations

import difflib
import functools
import glob
import importlib
import inspect
import logging
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, cast

from tricorn.errors import StartupError, UsageError

Application = Callable[..., Any]
"""An ASGI application: ``await app(scope, receive, send)``; in ASGI 2 ``await app(scope)(receive, send)``."""

Interface = Literal["asgi3", "asgi2", "wsgi"]
"""How an application is called."""

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_SEE_TRACEBACK = "see the traceback above for the line that raised it"

_logger = logging.getLogger("tricorn.error")


def load(
    app: str | object, *, factory: bool = False, app_dir: str | None = None, interface: str = "auto"
) -> Application:
    """Return the application that ``app`` stands for.

    Args:
        app: The application itself, or ``"module:attribute"``; the attribute may be dotted.
        factory: Whether that is a function without arguments that returns the application.
        app_dir: The directory to look for modules in first, put at the front of ``sys.path``; empty is the
            current one, ``None`` leaves ``sys.path`` alone.
        interface: How it is called; with ``auto`` it must look like one of the interfaces.

    Raises:
        UsageError: ``app`` has not the form ``module:attribute``, or ``app_dir`` is no directory.
        StartupError: The application cannot be imported, made or called. Where its own code failed, the
            traceback has been logged.
    """
    name = app if isinstance(app, str) else _name_of(app)
    target = _load_name(app, app_dir) if isinstance(app, str) else app
    if factory:
        return _make(name, target)
    _check_application(name, target, interface)
    return target  # type: ignore[return-value]  # checked to be callable


def interface_of(app: Application, asked: str = "auto") -> Interface:
    """Return how ``app`` is called: as was asked for, else as what it is certain, or most likely, to be.

    An application of WSGI is one that can be called with two arguments, and with neither one nor three; it is
    neither a class nor a coroutine function, and has no mark of asgiref's.
    """
    if asked != "auto":
        return cast(Interface, asked)  # the table has checked it
    if _is_wsgi(app):
        return "wsgi"
    return "asgi2" if asgi_version(app) == 2 else "asgi3"


def _is_wsgi(app: object) -> bool:
    marks = ("_asgi_single_callable", "_asgi_double_callable")
    if any(getattr(app, mark, False) for mark in marks) or inspect.isclass(app):
        return False
    if _is_async(app) or _is_async(getattr(app, "__call__", None)):  # noqa: B004
        return False
    return _takes(app, 2) and not _takes(app, 1) and not _takes(app, 3)


def asgi_version(app: Application) -> Literal[2, 3]:
    """Return how ``app`` is called: 3 for ``app(scope, receive, send)``, 2 for ``app(scope)``.

    The marks that asgiref's decorators leave decide first; coroutine functions are of version 3; then the
    number of arguments decides; where it leaves both open, a class is of version 2 and anything else of 3.
    """
    if getattr(app, "_asgi_single_callable", False):
        return 3
    if getattr(app, "_asgi_double_callable", False):
        return 2
    if not inspect.isclass(app) and (_is_async(app) or _is_async(getattr(app, "__call__", None))):  # noqa: B004
        return 3
    takes_one, takes_three = _takes(app, 1), _takes(app, 3)
    if takes_one and takes_three:
        return 2 if inspect.isclass(app) else 3
    return 2 if takes_one else 3


def single_callable(app: Application, version: int | None = None) -> Application:
    """Return ``app`` so that ``await app(scope, receive, send)`` works, whichever version it follows."""
    if (version or asgi_version(app)) == 3:
        return app

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        instance = app(scope)
        await instance(receive, send)

    return application


def _load_name(name: str, app_dir: str | None) -> object:
    module_name, path = _split(name)
    directory = _enter(app_dir)
    module = _import(module_name, directory)
    return _walk(module, path)


def _split(name: str) -> tuple[str, str]:
    """Return the module and the attribute path of ``module:attribute``."""
    module, colon, path = name.partition(":")
    if module.endswith(".py") or "/" in module:
        file = Path(module)
        where = "" if file.parent == Path() else f"--app-dir {file.parent} "
        raise UsageError(
            f"{name!r} names a file, and a module is wanted", f"write {where}{file.stem}:{path or 'app'}"
        )
    if not colon or not module or not path:
        raise UsageError(
            f"{name!r} is not of the form module:attribute",
            f"write for example {module or 'main'}:{path or 'app'}",
        )
    if not all(part.isidentifier() for part in path.split(".")):
        raise UsageError(
            f"{path!r} in {name!r} is not the name of an attribute", "write for example main:app"
        )
    if not all(module.split(".")):
        raise UsageError(
            f"{module!r} in {name!r} is not the name of a module", "write for example package.main:app"
        )
    return module, path


def _enter(app_dir: str | None) -> Path:
    """Put ``app_dir`` at the front of ``sys.path`` and return the directory that modules are expected in."""
    directory = Path(app_dir or "").absolute()
    if app_dir is None:
        return directory
    if not directory.is_dir():
        raise UsageError(
            f"--app-dir {app_dir}: there is no such directory", "give one that holds your modules"
        )
    if sys.path[:1] != [str(directory)]:
        sys.path.insert(0, str(directory))
        importlib.invalidate_caches()
    return directory


def _import(name: str, directory: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise _missing_module(error.name, name, directory) from None
        _log_traceback(error)
        raise StartupError(
            f"importing {name!r} failed: it needs the module {error.name!r}, which is not there",
            "install it into this environment, or see the traceback above for the line that imports it",
        ) from error
    except Exception as error:
        _log_traceback(error)
        raise StartupError(
            f"importing {name!r} failed: {_describe(error)}",
            _SEE_TRACEBACK,
        ) from error
    except SystemExit as error:
        raise StartupError(
            f"importing {name!r} ended the program with exit code {error.code}",
            "put what is only for scripts under: if __name__ == '__main__'",
        ) from error


def _missing_module(missing: str, wanted: str, directory: Path) -> StartupError:
    """Return the error for a module that the user named and that is not there, with the likeliest reason."""
    problem = f"there is no module {missing!r} (looked in {directory} and on Python's path)"
    parent, _, last = missing.rpartition(".")
    if parent:
        return StartupError(problem, f"{parent!r} was found, but has no submodule {last!r}")
    below = _directory_below(last, directory)
    if below is not None:
        return StartupError(problem, f"add --app-dir {below}, where it is")
    siblings = [module.name for module in pkgutil.iter_modules([str(directory)])]
    close = difflib.get_close_matches(last, siblings, n=1)
    if close:
        return StartupError(problem, f"did you mean {close[0] + wanted[len(missing) :]!r}?")
    return StartupError(problem, "run tricorn where the module is, or name that directory with --app-dir")


def _directory_below(module: str, directory: Path) -> Path | None:
    """Return the child of ``directory`` that holds a module or package of that name, relative to it."""
    pattern = glob.escape(module)
    files = sorted(directory.glob(f"*/{pattern}.py"))
    packages = sorted(directory.glob(f"*/{pattern}/__init__.py"))
    found = [file.parent for file in files] + [file.parent.parent for file in packages]
    return found[0].relative_to(directory) if found else None


def _walk(module: ModuleType, path: str) -> object:
    """Return the object at a dotted path below ``module``."""
    target: object = module
    where = f"module {module.__name__!r}"
    for part in path.split("."):
        target = _step(target, part, where)
        where = f"{part!r} in {where}"
    return target


def _step(target: object, part: str, where: str) -> object:
    """Return an attribute of ``target``, which is called ``where``; it may be made by code of the application's."""
    try:
        return getattr(target, part)
    except AttributeError as error:
        if error.name in (None, part):
            raise _missing_attribute(target, part, where) from None
        failure: Exception = error  # of that code's own
    except Exception as error:
        failure = error
    _log_traceback(failure)
    raise StartupError(
        f"the attribute {part!r} of {where} is not to be had: {_describe(failure)}", _SEE_TRACEBACK
    ) from failure


def _missing_attribute(target: object, part: str, where: str) -> StartupError:
    """Return the error for an attribute that is not there, with those whose names are close."""
    names = [name for name in dir(target) if not name.startswith("_")]
    close = difflib.get_close_matches(part, names, n=3, cutoff=0.4)
    guess = f"did you mean {' or '.join(map(repr, close))}?"
    remedy = guess if close else "name the attribute that is the application"
    return StartupError(f"{where} has no attribute {part!r}", remedy)


def _make(name: str, target: object) -> Application:
    """Call a factory and return the application that it makes."""
    if not callable(target):
        raise StartupError(
            f"{name!r} is {_article(target)}, not a factory", "name a function that returns the application"
        )
    if not _takes(target, 0):
        remedy = "leave out --factory" if _takes(target, 3) else "give each argument a default"
        raise StartupError(f"the factory {name!r} wants arguments, and is called without any", remedy)
    try:
        made = target()
    except Exception as error:
        _log_traceback(error)
        raise StartupError(
            f"the factory {name!r} failed: {_describe(error)}",
            _SEE_TRACEBACK,
        ) from error
    except SystemExit as error:
        raise StartupError(
            f"the factory {name!r} ended the program with exit code {error.code}",
            "have it return the application",
        ) from error
    if inspect.iscoroutine(made):
        made.close()
        raise StartupError(f"the factory {name!r} is a coroutine function", "make it a plain function (def)")
    if not callable(made):
        raise StartupError(
            f"the factory {name!r} returned {_article(made)}, not an application",
            "return the ASGI application",
        )
    return made  # type: ignore[no-any-return]


def _check_application(name: str, target: object, interface: str) -> None:
    """Raise a StartupError unless ``target`` can be called as an application; it is believed which one it is."""
    if not callable(target):
        remedy = "name the ASGI application itself"
        if isinstance(target, ModuleType):
            remedy = f"name the application in it, for example {name}.app"
        raise StartupError(f"{name!r} is {_article(target)}, which cannot be called", remedy)
    if interface != "auto" or _is_wsgi(target):
        return
    marked = getattr(target, "_asgi_single_callable", False) or getattr(
        target, "_asgi_double_callable", False
    )
    if marked or _takes(target, 3) or (_takes(target, 1) and not _is_async(target)):
        return
    problem = f"{name!r} cannot be called with scope, receive and send"
    if not _takes(target, 0):
        raise StartupError(problem, "an ASGI application takes exactly these three arguments")
    if inspect.isclass(target):
        raise StartupError(problem, "it is a class: name an instance, or add --factory to make one")
    raise StartupError(problem, "if it returns the application, add --factory")


def _takes(target: object, count: int) -> bool:
    """Whether ``target`` can be called with ``count`` arguments; yes when its signature is not to be had."""
    try:
        signature = inspect.signature(target)  # type: ignore[arg-type]  # what cannot be called is caught
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _is_async(target: object) -> bool:
    while isinstance(target, functools.partial):
        target = target.func
    return inspect.iscoroutinefunction(target)


def _name_of(target: object) -> str:
    return str(getattr(target, "__qualname__", None) or type(target).__qualname__)


def _article(target: object) -> str:
    """Return what ``target`` is, for a sentence: ``a str``, ``an int``, ``None``."""
    if target is None:
        return "None"
    kind = type(target).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _log_traceback(error: BaseException) -> None:
    """Log the traceback of an application's own failure, from the application's first frame on."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    # No frame of its own (a syntax error): the exception's text names file and line by itself.
    _logger.error("Traceback of the failure:", exc_info=(type(error), error, trace))


def _is_ours(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen importlib") or filename == importlib.__file__


_IN_WORKER: Final = ContextVar("tricorn.in_worker", default=False)


@contextmanager
def in_worker() -> Iterator[None]:
    """Have no server run while a worker process imports its application: each worker would have workers again."""
    token = _IN_WORKER.set(True)
    try:
        yield
    finally:
        _IN_WORKER.reset(token)


def refuse_in_worker() -> None:
    """Refuse to run a server.

    Raises:
        UsageError: A worker process imports its application.
    """
    if _IN_WORKER.get():
        raise UsageError(
            "a server was to be run while a worker process imports the application",
            "call tricorn.run() under if __name__ == '__main__'",
        )

"""Finding the application: what is found, and the line that a user gets when it is not."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tricorn.errors import StartupError, TricornError, UsageError
from tricorn.importer import asgi_version, interface_of, load, single_callable

APP = "async def app(scope, receive, send):\n    pass\n"

Project = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Return a function that writes files into a fresh directory, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    counter = itertools.count()

    def write(text: str = APP, name: str = "") -> str:
        """Write a module and return its name."""
        file = tmp_path / (name or f"project_{next(counter)}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file.stem

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def propagate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let caplog see what the server logs, whatever another test has configured."""
    monkeypatch.setattr(logging.getLogger("tricorn"), "propagate", True)


def failure(app: object, kind: type[TricornError] = StartupError, **options: Any) -> str:
    """Return the one line that loading ``app`` fails with."""
    options = {"app_dir": ""} | options
    with pytest.raises(kind) as caught:
        load(app, **options)
    assert type(caught.value) is kind
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI 3 application."""


def test_callable_is_taken_as_it_is() -> None:
    assert load(application) is application


def test_module_and_attribute(project: Project) -> None:
    name = project()
    assert load(f"{name}:app", app_dir="") is sys.modules[name].app


def test_dotted_attribute(project: Project) -> None:
    name = project(APP + "class site:\n    class api:\n        application = staticmethod(app)\n")
    assert load(f"{name}:site.api.application", app_dir="") is sys.modules[name].app


def test_package(project: Project) -> None:
    project("", "package_a/__init__.py")
    project(APP, "package_a/main.py")
    assert callable(load("package_a.main:app", app_dir=""))


def test_app_dir(project: Project, tmp_path: Path) -> None:
    project(APP, "below/main_in_below.py")
    assert callable(load("main_in_below:app", app_dir="below"))
    assert sys.path[0] == str(tmp_path / "below")


def test_app_dir_comes_first(project: Project) -> None:
    project("raise RuntimeError", "colour_of_app.py")
    project(APP, "below/colour_of_app.py")
    assert callable(load("colour_of_app:app", app_dir="below"))


def test_app_dir_is_entered_once(project: Project) -> None:
    name = project()
    load(f"{name}:app", app_dir="")
    before = list(sys.path)
    load(f"{name}:app", app_dir="")
    assert sys.path == before


def test_without_app_dir_the_path_is_left_alone(project: Project) -> None:
    before = list(sys.path)
    failure("no_such_module_here:app", app_dir=None)
    assert sys.path == before


def test_missing_app_dir(project: Project) -> None:
    assert failure("main:app", UsageError, app_dir="nowhere").startswith("--app-dir nowhere: ")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("main", "write for example main:app"),
        ("main:", "write for example main:app"),
        (":app", "write for example main:app"),
        (":", "write for example main:app"),
        ("main.py", "write main:app"),
        ("main.py:api", "write main:api"),
        ("src/main.py:api", "write --app-dir src main:api"),
        ("src/main", "write --app-dir src main:app"),
        ("main:app()", "main:app"),
        ("main:a..b", "main:app"),
        ("main:app:x", "main:app"),
        (".main:app", "main:app"),
        ("a..b:app", "main:app"),
    ],
)
def test_form(name: str, hint: str) -> None:
    line = failure(name, UsageError, app_dir=None)
    assert name.partition(":")[0] in line
    assert hint in line


def test_missing_module_names_the_directory(project: Project, tmp_path: Path) -> None:
    line = failure("qqqq:app")
    assert line.startswith(f"there is no module 'qqqq' (looked in {tmp_path} ")
    assert "--app-dir" in line


def test_missing_module_in_a_directory_below(project: Project) -> None:
    project(APP, "src/server_of_mine.py")
    assert failure("server_of_mine:app").endswith("add --app-dir src, where it is")


def test_missing_package_in_a_directory_below(project: Project) -> None:
    project(APP, "src/package_of_mine/__init__.py")
    assert failure("package_of_mine:app").endswith("add --app-dir src, where it is")


def test_missing_module_with_a_close_name(project: Project) -> None:
    project(APP, "application_main.py")
    assert failure("aplication_main:app").endswith("did you mean 'application_main'?")


def test_missing_package_with_a_close_name(project: Project) -> None:
    project("", "mysite_pkg/__init__.py")
    assert failure("mysite_pgk.asgi:app").endswith("did you mean 'mysite_pkg.asgi'?")


def test_missing_submodule(project: Project) -> None:
    project("", "package_b/__init__.py")
    line = failure("package_b.asgi:app")
    assert line.startswith("there is no module 'package_b.asgi'")
    assert "'package_b' was found, but has no submodule 'asgi'" in line


def test_module_that_is_no_package(project: Project) -> None:
    name = project()
    assert "has no submodule 'api'" in failure(f"{name}.api:app")


def test_module_that_imports_what_is_missing(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    name = project("import no_such_dependency\n")
    line = failure(f"{name}:app")
    assert line.startswith(f"importing '{name}' failed: it needs the module 'no_such_dependency'")
    assert "import no_such_dependency" in caplog.text
    assert "importlib" not in caplog.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def broken(:\n", "SyntaxError"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two lines"),
        ("raise KeyError\n", "failed: KeyError;"),
        ("from math import nothing\n", "ImportError: cannot import name 'nothing'"),
    ],
)
def test_module_that_fails(
    project: Project, caplog: pytest.LogCaptureFixture, text: str, problem: str
) -> None:
    name = project(text)
    line = failure(f"{name}:app")
    assert line.startswith(f"importing '{name}' failed: ")
    assert problem in line
    assert f"{name}.py" in caplog.text
    assert caplog.records[0].name == "tricorn.error"
    assert caplog.records[0].levelno == logging.ERROR


def test_module_that_exits(project: Project) -> None:
    name = project("import sys\nsys.exit(7)\n")
    line = failure(f"{name}:app")
    assert "ended the program with exit code 7" in line
    assert "__main__" in line


def test_interrupt_is_let_through(project: Project) -> None:
    name = project("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load(f"{name}:app", app_dir="")


@pytest.mark.parametrize("module", ["**", "[a-", "?"])
def test_a_module_that_is_named_like_a_pattern(project: Project, module: str) -> None:
    """It is only a name, also where it is looked for below."""
    project(APP, "below_d/other.py")
    assert failure(f"{module}:app").startswith(f"there is no module '{module}' ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def __getattr__(name):\n    import not_installed\n", "No module named 'not_installed'"),
        ("def __getattr__(name):\n    raise OSError('no\\nsettings')\n", "OSError: no settings"),
        ("def __getattr__(name):\n    return None.other\n", "has no attribute 'other'"),
    ],
)
def test_an_attribute_that_fails(
    project: Project, caplog: pytest.LogCaptureFixture, text: str, problem: str
) -> None:
    """What makes it lazily is the application's own code."""
    name = project(text)
    line = failure(f"{name}:app")
    assert line.startswith(f"the attribute 'app' of module '{name}' is not to be had: ")
    assert problem in line
    assert f"{name}.py" in caplog.text
    assert "in _step" not in caplog.text


def test_wrong_attribute(project: Project) -> None:
    name = project(APP)
    assert failure(f"{name}:ap") == f"module '{name}' has no attribute 'ap'; did you mean 'app'?"


def test_wrong_attribute_with_several_close_ones(project: Project) -> None:
    name = project(APP + "app2 = app\n")
    assert "did you mean 'app' or 'app2'?" in failure(f"{name}:app3")


def test_wrong_attribute_without_a_close_one(project: Project) -> None:
    name = project(APP)
    assert failure(f"{name}:zzz").endswith("name the attribute that is the application")


def test_wrong_dotted_attribute(project: Project) -> None:
    name = project("class site:\n    application = print\n")
    line = failure(f"{name}:site.aplication")
    assert line == f"'site' in module '{name}' has no attribute 'aplication'; did you mean 'application'?"


@pytest.mark.parametrize(
    ("text", "what"), [("app = 5\n", "an int"), ("app = 'x'\n", "a str"), ("app = None\n", "None")]
)
def test_what_cannot_be_called(project: Project, text: str, what: str) -> None:
    name = project(text)
    assert failure(f"{name}:app").startswith(f"'{name}:app' is {what}, which cannot be called; ")


def test_module_as_application(project: Project) -> None:
    project(APP, "package_c/__init__.py")
    project(APP, "package_c/app.py")
    sys.path.insert(0, "")
    __import__("package_c.app")
    assert "for example package_c:app.app" in failure("package_c:app")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("def app():\n    return print\n", "add --factory"),
        ("class app:\n    def __init__(self): pass\n", "it is a class: name an instance, or add --factory"),
        ("async def app(environ, start_response):\n    return []\n", "exactly these three arguments"),
        ("def app(a, b, c, d):\n    pass\n", "exactly these three arguments"),
        ("async def app(scope):\n    pass\n", "exactly these three arguments"),
        ("def app(*, config):\n    pass\n", "exactly these three arguments"),
    ],
)
def test_wrong_arguments(project: Project, text: str, hint: str) -> None:
    name = project(text)
    line = failure(f"{name}:app")
    assert line.startswith(f"'{name}:app' cannot be called with scope, receive and send; ")
    assert hint in line


class Double:
    """An application of ASGI 2."""

    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class Site:
    """What frameworks of WSGI make."""

    def __call__(self, environ: Any, start_response: Any) -> Any: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


async def not_wsgi(environ: Any, start_response: Any) -> Any: ...


def marked(environ: Any, start_response: Any) -> Any: ...


marked._asgi_double_callable = True  # type: ignore[attr-defined]


def anything(*args: Any) -> Any: ...


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (application, "asgi3"),
        (Double, "asgi2"),
        (wsgi, "wsgi"),
        (Site(), "wsgi"),
        (Site().__call__, "wsgi"),
        (functools.partial(lambda config, environ, start_response: None, 1), "wsgi"),
        (Site, "asgi3"),
        (not_wsgi, "asgi3"),
        (marked, "asgi2"),
        (anything, "asgi3"),
        (print, "asgi3"),
    ],
)
def test_interface(app: Any, interface: str) -> None:
    """WSGI is only found where it is certain; what was asked for is believed."""
    assert interface_of(app) == interface
    assert [interface_of(app, asked) for asked in ("asgi3", "asgi2", "wsgi")] == ["asgi3", "asgi2", "wsgi"]


def test_a_wsgi_application_is_loaded(project: Project) -> None:
    name = project("def app(environ, start_response):\n    return []\n")
    assert load(f"{name}:app", app_dir="") is sys.modules[name].app
    odd = project("def app(*args, **kwargs):\n    return []\ndef other(a, b=1, c=2, d=3, /): ...\n")
    assert load(f"{odd}:app", app_dir="", interface="wsgi") is sys.modules[odd].app


def test_factory() -> None:
    assert load(lambda: application, factory=True) is application


def test_factory_may_be_a_class() -> None:
    class Site:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert isinstance(load(Site, factory=True), Site)


def test_factory_with_defaults(project: Project) -> None:
    name = project(APP + "def make(debug=False):\n    return app\n")
    assert load(f"{name}:make", factory=True, app_dir="") is sys.modules[name].app


def test_factory_fails(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    name = project("def make():\n    raise OSError('no settings')\n")
    line = failure(f"{name}:make", factory=True)
    assert line.startswith(f"the factory '{name}:make' failed: OSError: no settings; see the traceback")
    assert "raise OSError('no settings')" in caplog.text
    assert "in _make" not in caplog.text


def test_factory_that_exits(project: Project) -> None:
    name = project("import sys\ndef make():\n    sys.exit(0)\n")
    line = failure(f"{name}:make", factory=True)
    assert line.startswith(f"the factory '{name}:make' ended the program with exit code 0; ")


def test_factory_is_the_application_itself(project: Project) -> None:
    name = project()
    assert failure(f"{name}:app", factory=True).endswith("leave out --factory")


def test_factory_wants_arguments() -> None:
    assert "give each argument a default" in failure(lambda settings: application, factory=True)


def test_factory_is_no_callable() -> None:
    assert "is an int, not a factory" in failure(5, factory=True)


def test_factory_returns_no_application() -> None:
    assert "returned None, not an application" in failure(lambda: None, factory=True)


def test_factory_is_a_coroutine_function(recwarn: pytest.WarningsRecorder) -> None:
    async def make() -> Any:
        return application

    assert "make it a plain function" in failure(make, factory=True)
    assert not recwarn.list


class Double:
    """An ASGI 2 application as a class."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await send({"scope": self.scope, "event": await receive()})


def double(scope: Any) -> Any:
    """An ASGI 2 application as a function."""

    async def instance(receive: Any, send: Any) -> None:
        await send({"scope": scope, "event": await receive()})

    return instance


class DoubleObject:
    """An ASGI 2 application as an object."""

    def __call__(self, scope: Any) -> Any:
        return double(scope)


class Single:
    """An ASGI 3 application as an object."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Endpoint:
    """A class whose instances are awaited: ASGI 3, for ``await Endpoint(scope, receive, send)`` works."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Any:
        yield


class AnyArguments:
    """A class that takes whatever it gets."""

    def __init__(self, *args: Any) -> None: ...


def wrapped(*args: Any) -> Any:
    """A plain function that passes everything on, as decorators do."""
    return application(*args)


def marked(mark: str) -> Any:
    """Return a function of unclear arguments with one of asgiref's marks."""

    def app(*args: Any) -> Any: ...

    setattr(app, mark, True)
    return app


@pytest.mark.parametrize(
    ("app", "version"),
    [
        (application, 3),
        (Single(), 3),
        (Endpoint, 3),
        (wrapped, 3),
        (lambda scope, receive, send: None, 3),
        (functools.partial(application), 3),
        (functools.partial(lambda name, scope, receive, send: None, "x"), 3),
        (Single().__call__, 3),
        (marked("_asgi_single_callable"), 3),
        (math.hypot, 3),
        (double, 2),
        (Double, 2),
        (DoubleObject(), 2),
        (AnyArguments, 2),
        (functools.partial(lambda name, scope: None, "x"), 2),
        (marked("_asgi_double_callable"), 2),
    ],
)
def test_asgi_version(app: Any, version: int) -> None:
    assert asgi_version(app) == version
    assert load(app) is app


@pytest.mark.parametrize("app", [double, Double, DoubleObject()])
def test_double_callable_is_made_single(app: Any) -> None:
    sent: list[Any] = []

    async def receive() -> str:
        return "event"

    async def send(message: Any) -> None:
        sent.append(message)

    single = single_callable(app)
    assert asgi_version(single) == 3
    with pytest.raises(StopIteration):
        single({"type": "http"}, receive, send).send(None)
    assert sent == [{"scope": {"type": "http"}, "event": "event"}]


def test_single_callable_stays_itself() -> None:
    assert single_callable(application) is application

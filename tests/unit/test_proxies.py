"""How the options of proxies are read."""

from __future__ import annotations

from typing import Any

import pytest

import tricorn
from tricorn import proxies
from tricorn.errors import UsageError


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Nothing is asked of it."""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        "10.0.0.0/8, ::1,2001:db8::/32",
        "*",
        "unix,_proxy1",
        "::ffff:10.0.0.0/104",
        "/run/x.sock",
    ],
)
def test_good_lists(text: str) -> None:
    """The core takes whatever the option takes."""
    config = tricorn.Config(app, forwarded_allow_ips=text)
    server = tricorn.Server(tricorn.Config(app, port=0, forwarded_allow_ips=text))
    assert config.proxies["allow"] == ",".join(proxies.split(text))
    assert server.config.proxies == config.proxies


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("2001:db8::1/32", "did you mean 2001:db8::/32?"),
        ("10.0.0.0/33", "'33' is no length of a prefix"),
        ("10.0.0.0/255.0.0.0", "the length of the prefix"),
        ("*,10.0.0.1", "* alone"),
        ("10.0.0.1 10.0.0.2", "between commas"),
        ("ä", "between commas"),
    ],
)
def test_bad_lists(text: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the option and in the variable."""
    with pytest.raises(UsageError, match="forwarded_allow_ips must") as caught:
        tricorn.Config(app, forwarded_allow_ips=text)
    assert problem in str(caught.value)
    monkeypatch.setenv(proxies.ALLOW_ENV, text)
    with pytest.raises(UsageError, match=proxies.ALLOW_ENV) as caught:
        _ = tricorn.Config(app).proxies
    assert problem in str(caught.value)


def test_who_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As given, else as the environment says, else this machine; lists are a form of uvicorn's."""
    monkeypatch.delenv(proxies.ALLOW_ENV, raising=False)
    assert tricorn.Config(app).proxies["allow"] == "127.0.0.1"
    monkeypatch.setenv(proxies.ALLOW_ENV, " 10.0.0.1 , unix ")
    assert tricorn.Config(app).proxies["allow"] == "10.0.0.1,unix"
    assert tricorn.Config(app, forwarded_allow_ips=["::1", "_p"]).proxies["allow"] == "::1,_p"
    assert tricorn.Config(app, forwarded_allow_ips="").proxies["allow"] == ""


def test_what_is_believed() -> None:
    """Each name is a bit, and names are those of fields, whatever their case."""
    assert tricorn.Config(app).proxies["fields"] == 63
    assert tricorn.Config(app, proxy_headers=False).proxies["fields"] == 0
    assert (
        tricorn.Config(app, forwarded_fields="Forwarded, x-forwarded-for,forwarded").proxies["fields"] == 33
    )
    assert tricorn.Config(app, forwarded_fields="").proxies["fields"] == 0
    with pytest.raises(UsageError, match="x-real-ip"):
        tricorn.Config(app, forwarded_fields="x-real-ip")


@pytest.mark.parametrize("path", ["", "a", "/a b", "/a?b", "/a#b", "/ä", "/a\n", "*"])
def test_bad_paths(path: str) -> None:
    """A path is compared with what stands in requests."""
    for option in ("health_path", "ready_path"):
        with pytest.raises(UsageError, match=r"a path such as /healthz"):
            tricorn.Config(app, **{option: path})


def test_contradictions() -> None:
    """What cannot be meant together."""
    with pytest.raises(UsageError, match="--ready-path"):
        tricorn.Config(app, ready_max_lag=1)
    with pytest.raises(UsageError, match="are the same"):
        tricorn.Config(app, ready_path="/a", health_path="/a")
    options = tricorn.Config(
        app, ready_path="/a", health_path="/b", ready_max_lag=0.25, forwarded_hops=3
    ).proxies
    assert options | {"allow": "", "fields": 0} == {
        "allow": "",
        "fields": 0,
        "hops": 3,
        "health_path": "/b",
        "ready_path": "/a",
        "ready_lag_ms": 250,
    }

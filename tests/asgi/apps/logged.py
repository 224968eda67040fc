"""Answers of every kind, for the access log."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import aio
from kit import Exchange, application


async def plain(exchange: Exchange) -> None:
    """Answer at once."""
    await exchange.answer(b"plain", fields=[(b"Content-Type", b"text/plain"), (b"x-evil", b'"\xff')])


async def slow(exchange: Exchange) -> None:
    """Answer after a while."""
    await aio.sleep(exchange.number("ms") / 1000)
    await exchange.answer(b"slow")


async def stream(exchange: Exchange) -> None:
    """Answer in pieces; the library has its turn in between."""
    await exchange.start()
    for _ in range(exchange.number("n")):
        await exchange.write(b"x" * 1000)
        await aio.sleep(0)
    await exchange.write(b"", more=False)


async def endless(exchange: Exchange) -> None:
    """Answer until the client has gone."""
    await exchange.start()
    while True:
        await exchange.write(b"x" * 1000)
        await aio.sleep(0.005)


async def empty(exchange: Exchange) -> None:
    """Answer without a body."""
    await exchange.start(204)
    await exchange.write(b"", more=False)


async def fail(exchange: Exchange) -> None:
    """Fail before the answer."""
    raise LookupError("failed on purpose")


app = application(
    {
        "/plain": plain,
        "/slow": slow,
        "/stream": stream,
        "/endless": endless,
        "/empty": empty,
        "/fail": fail,
        "/healthz": plain,
        "/static/a.css": plain,
    }
)


class Filter(logging.Filter):
    """Drops what holds the word "secret"."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at the arguments, as filters that were written for uvicorn do."""
        assert isinstance(record.args, tuple)
        return "secret" not in str(record.args[2])


def filtered_app() -> object:
    """Return the application with a filter on uvicorn's logger."""
    logging.getLogger("uvicorn.access").addFilter(Filter())
    return app


def talking_app() -> object:
    """Return the application with words of its own, by uvicorn's loggers, and logging that it sets up at its start."""
    logging.getLogger("uvicorn.error").info("Said by the factory")

    async def talking(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            logging.getLogger("uvicorn").warning("Said at the start")
            form = logging.Formatter("mine: %(message)s")
            logging.getLogger("uvicorn.access").handlers[0].setFormatter(form)
            logging.config.dictConfig({"version": 1})  # which switches off whatever it does not name
        else:
            logging.getLogger("uvicorn.error").info("Said by a request")
        await app(scope, receive, send)

    return talking


def configured_app() -> object:
    """Return the application once it has put a handler of its own in the place of that of uvicorn's access log."""
    config = {
        "version": 1,
        "formatters": {"own": {"format": "own: %(message)s"}},
        "handlers": {
            "out": {"class": "logging.StreamHandler", "formatter": "own", "stream": "ext://sys.stdout"}
        },
        "loggers": {"uvicorn.access": {"handlers": ["out"], "level": "INFO", "propagate": False}},
    }
    logging.config.dictConfig(config)
    return app

"""The WebSockets of test_sockets.py in Django Channels."""

from __future__ import annotations

from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"], SECRET_KEY="only-of-tests")
django.setup()

last: dict[str, Any] = {"code": None, "reason": None}


class Echo(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        last.update(code=message["code"], reason=message.get("reason"))
        await super().websocket_disconnect(message)


class Last(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=f"{last['code']} {last['reason']}")
        await self.close()


class Choose(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        chosen = "second" if "second" in self.scope["subprotocols"] else None
        await self.accept(subprotocol=chosen, headers=[(b"x-chosen", b"yes")])
        await self.close(code=4001, reason="au revoir")


class Refuse(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        await self.close()


routes = [("echo", Echo), ("last", Last), ("choose", Choose), ("refuse", Refuse)]
app = ProtocolTypeRouter(
    {"websocket": URLRouter([path(name, consumer.as_asgi()) for name, consumer in routes])}
)

"""The paths of ``ws_shared`` in Django Channels, which refuses by a close and tells the code of an end alone."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import django
import ws_shared
from channels.exceptions import DenyConnection
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="only for tests")
django.setup()


class Echo(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept(ws_shared.chosen(self.scope["subprotocols"]))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == ws_shared.CLOSE:
            await self.close(ws_shared.CODE, ws_shared.REASON)
        else:
            await self.send(text_data, bytes_data)

    async def disconnect(self, code: int) -> None:
        ws_shared.note_end(parse_qs(self.scope["query_string"].decode())["token"][0], code)


class Deny(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        raise DenyConnection


class Notes(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send(json.dumps(ws_shared.notes))
        await self.close()


routes = [path("echo", Echo.as_asgi()), path("deny", Deny.as_asgi()), path("notes", Notes.as_asgi())]
app = ProtocolTypeRouter({"websocket": URLRouter(routes)})

"""Requests to the ASGI layers in this process, with Django's views in the thread of the test."""

import io
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from a2wsgi.wsgi import build_environ
from asgiref.sync import sync_to_async
from django.core.wsgi import get_wsgi_application

from apps.delivery.feed import running_feed, stop_feed
from apps.delivery.hot import Hot
from apps.delivery.http import Delivery
from apps.delivery.polls import Polls


class Answer(NamedTuple):
    status: int
    headers: list
    body: bytes

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


class Views:
    """Django's views as an ASGI application that counts what it is asked."""

    def __init__(self):
        self.asked = 0
        self.wsgi = get_wsgi_application()

    async def __call__(self, scope, receive, send):
        self.asked += 1
        body = (await receive())["body"]
        environ = build_environ(scope, io.BytesIO(body))
        status, headers, content = await sync_to_async(self._run)(environ)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    def _run(self, environ):
        started = []
        answer = self.wsgi(environ, lambda status, headers: started.append((status, headers)))
        try:
            content = b"".join(answer)
        finally:
            answer.close()
        status, headers = started[0]
        found = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        return int(status.split()[0]), found, content


class Asgi:
    """``get`` asks the read path, ``get_from_django`` what is behind it; ``views.asked`` counts."""

    def __init__(self):
        self.views = Views()
        self.behind = Delivery(self.views)
        self.hot = Polls(Hot(self.behind))

    async def get(self, address, headers=(), method="GET", body=b""):
        return await self._ask(self.hot, address, headers, method, body)

    async def get_from_django(self, address, headers=(), method="GET", body=b""):
        return await self._ask(self.behind, address, headers, method, body)

    async def get_by(self, app, address, headers=()):
        return await self._ask(app, address, headers, "GET", b"")

    async def _ask(self, app, address, headers, method, body):
        path, _mark, query = address.partition("?")
        names = [name for name, _value in headers]
        given = [] if "host" in names else [("host", "localhost")]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in (*given, *headers)],
            "client": ("127.0.0.1", 40_000),
            "server": ("localhost", 80),
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        content = b"".join(each.get("body", b"") for each in sent[1:])
        return Answer(sent[0]["status"], sent[0]["headers"], content)


@asynccontextmanager
async def following():
    """The feed of this loop, which has read everything; ends with the block."""
    feed = await running_feed()
    try:
        assert await feed.caught_up(5)
        yield feed
    finally:
        await stop_feed()

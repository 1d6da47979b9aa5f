"""The server's entry: lifespan, WebSocket by Channels, HTTP by the delivery layer over Django."""

import asyncio
import importlib
import os
import signal
import sys
import threading
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "configsvc.settings")

from django.core.wsgi import get_wsgi_application

from configsvc.env import UnsafeSettingError

# Django's views are synchronous: threads that stay serve them in less than half the time that
# Django's ASGI handler takes, which makes a thread for every request.
try:
    django_application = get_wsgi_application()
except UnsafeSettingError as refused:  # as manage.py does, for servers that load this alone
    sys.exit(str(refused))

from a2wsgi import WSGIMiddleware
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from django.conf import settings
from django.urls import path

from apps.api.ofrep.fast import Ofrep
from apps.audit.epochs import settle
from apps.core.actor import system
from apps.core.reaching import bound_waiting
from apps.core.runner import Runner
from apps.core.safety import UnsafeStartError, refuse_unsafe
from apps.delivery.consumers import ConfigConsumer
from apps.delivery.counting import Counting
from apps.delivery.feed import Feed, running_feed, stop_feed
from apps.delivery.hot import Hot
from apps.delivery.http import Delivery
from apps.delivery.polls import Polls
from apps.delivery.warming import warm
from apps.engine.errors import UnavailableError
from configsvc import urls  # noqa: F401 - all pages but GraphQL are loaded now, not at their first request

STOP_JOBS_WITHIN = 2.0


async def graphql_socket(scope: Any, receive: Any, send: Any) -> None:
    """The consumer of subscriptions, whose schema is loaded with the first of them."""
    await asyncio.to_thread(importlib.import_module, "apps.api.graphql.socket")
    from apps.api.graphql.socket import GraphQLConsumer

    await GraphQLConsumer()(scope, receive, send)


views: Any = django_application
hot = Hot(Ofrep(Delivery(WSGIMiddleware(views, workers=settings.VIEW_THREADS))))
http = Polls(hot)
sockets: dict[str, Any] = {
    "ws/config": ConfigConsumer.as_asgi(),
    "ws/graphql": graphql_socket,
}
routes: list[Any] = [
    path(f"{prefix}{address}", consumer)
    for address, consumer in sockets.items()
    for prefix in ("", "api/v1/")
]
websocket = URLRouter(routes)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Route one ASGI connection."""
    if scope["type"] == "http":
        await http(_below_prefix(scope), receive, send)
    elif scope["type"] == "websocket":
        await _websocket(_below_prefix(scope), receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)


def _below_prefix(scope: Any) -> Any:
    """The scope without the path prefix, which a proxy may have taken away or passed on."""
    path: str = scope["path"]
    prefix = settings.PATH_PREFIX
    if not prefix or not (path == prefix or path.startswith(f"{prefix}/")):
        return scope
    return {**scope, "path": path.removeprefix(prefix) or "/"}


async def _websocket(scope: Any, receive: Any, send: Any) -> None:
    try:
        await websocket(scope, receive, send)
    except ValueError as error:
        if "No route found" not in str(error):
            raise
        await send({"type": "websocket.close", "code": 4404})


def _end_streams_on_signal(feed: Feed) -> None:
    """Let the signal that stops the server end its streams first, which would hold it up."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        stop_server = signal.getsignal(number)

        def stop(received: int, frame: Any, then: Any = stop_server) -> None:
            loop.call_soon_threadsafe(feed.end_streams)
            if callable(then):
                then(received, frame)

        signal.signal(number, stop)


async def _lifespan(receive: Any, send: Any) -> None:
    """Refuse to start with an unsafe setting; follow the ledger, and do jobs, meanwhile.

    On a database that is another than before a new epoch begins first.
    """
    runner = Runner() if settings.JOBS_IN_SERVER else None
    counting = Counting()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await database_sync_to_async(bound_waiting)()
                await database_sync_to_async(refuse_unsafe)()
                await database_sync_to_async(settle)(actor=system("server"))
                _end_streams_on_signal(await running_feed())
                await warm(hot)
                counting.start()
                if runner is not None:
                    runner.start()
            except (UnsafeStartError, UnavailableError) as error:  # else the traceback is logged
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await asyncio.to_thread(counting.stop, STOP_JOBS_WITHIN)
            await stop_feed()
            if runner is not None:
                await asyncio.to_thread(runner.stop, STOP_JOBS_WITHIN)
            await send({"type": "lifespan.shutdown.complete"})
            return

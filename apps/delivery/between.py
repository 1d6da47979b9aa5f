"""Wake-ups between processes, through the channel layer; one that is lost costs a second."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger(__name__)

GROUP: Final = "configsvc.ledger"
TRY_AGAIN_AFTER: Final = 1.0
QUIET: Final = 15.0
"""Seconds after which a connection that brings nothing is doubted."""
ANSWER_WITHIN: Final = 5.0


def layer_between_processes() -> Any:
    """The channel layer, where it reaches other processes; else ``None``."""
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer


async def wake_others(layer: Any, name: str) -> None:
    """Tell the other processes to look; ``name`` is this one's."""
    try:
        await layer.group_send(GROUP, {"type": "wake", "from": name})
    except Exception as error:
        logger.debug("No wake-up was sent (%s); other nodes look every second.", error)


async def hear_others(layer: Any, name: str, wake: Callable[[], object]) -> None:
    """Call ``wake`` for each wake-up of another process than ``name``, until cancelled. That it cannot is
    said once, and that it can again.
    """
    is_away = False
    while True:
        try:
            async for message in _hear(layer, name):
                if is_away:
                    logger.warning("The channel layer is back; changes are heard of at once again.")
                is_away = False
                if message.get("from") != name:
                    wake()
        except Exception as error:
            if not is_away:
                why = str(error) or "no answer"
                logger.warning(
                    "The channel layer is away (%s); the ledger is read every second.", why
                )
            is_away = True
            await _begin_anew(layer)
            await asyncio.sleep(TRY_AGAIN_AFTER)


async def _hear(layer: Any, name: str) -> AsyncIterator[dict[str, Any]]:
    """What is sent to all, and, at first and when nothing has come for a while, what this sends itself: a
    connection may be half open without a word. Raises :class:`TimeoutError` where that does not come.
    """
    async with asyncio.timeout(ANSWER_WITHIN):
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
    patience = 0.0
    while True:
        receiving = asyncio.ensure_future(layer.receive(channel))
        try:
            await asyncio.wait({receiving}, timeout=patience)
            if not receiving.done():
                async with asyncio.timeout(ANSWER_WITHIN):
                    await layer.send(channel, {"type": "wake", "from": name})
                await asyncio.wait({receiving}, timeout=ANSWER_WITHIN)
            if not receiving.done():
                raise TimeoutError("it does not bring what it was sent")
        finally:
            if receiving.cancel():  # which unsubscribes
                await asyncio.wait({receiving}, timeout=ANSWER_WITHIN)
        yield receiving.result()
        patience = QUIET


async def _begin_anew(layer: Any) -> None:
    """Throw away the layer's connections, and what it knows of channels: nobody else has any here."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(ANSWER_WITHIN):
            await layer.flush()

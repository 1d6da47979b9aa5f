"""Wake-ups between processes, through the channel layer; one that is lost costs a second."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger(__name__)

GROUP: Final = "configsvc.ledger"
TRY_AGAIN_AFTER: Final = 1.0


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
            channel = await layer.new_channel()
            await layer.group_add(GROUP, channel)
            if is_away:
                logger.warning("The channel layer is back; changes are heard of at once again.")
            is_away = False
            while True:
                message = await layer.receive(channel)
                if message.get("from") != name:
                    wake()
        except Exception as error:
            if not is_away:
                logger.warning(
                    "The channel layer is away (%s); the ledger is read every second.", error
                )
            is_away = True
            await asyncio.sleep(TRY_AGAIN_AFTER)

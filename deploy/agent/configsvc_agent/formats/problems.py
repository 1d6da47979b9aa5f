"""Why a format cannot hold a document."""

from collections.abc import Mapping

from configsvc_agent.errors import RenderError
from configsvc_agent.paths import shown
from configsvc_client.keys import Path

_MOST = 10


def refuse(name: str, bad: Mapping[Path, str]) -> None:
    """Raise :class:`RenderError` when there is anything in ``bad``; never says a value."""
    if not bad:
        return
    told = [f"{shown(path)}: {why}" for path, why in bad.items()]
    more = f" And {len(told) - _MOST} more." if len(told) > _MOST else ""
    raise RenderError(f"{name} cannot hold this. {' '.join(told[:_MOST])}{more}")

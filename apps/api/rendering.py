"""Turning off what DRF would decide about representations."""

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation


class AnyAccept(BaseContentNegotiation):
    """DRF's own negotiation is not used: views write their answers themselves."""

    def select_renderer(self, _request: Any, renderers: Any, _suffix: Any = None) -> Any:
        """The first renderer."""
        return renderers[0], renderers[0].media_type

"""Bringing one environment's configuration to another."""

from typing import Any

from django.http import HttpResponse

from apps.api.base import read_members, read_texts, typed
from apps.api.documentation import WRITE, documented
from apps.api.versions import PlaceView
from apps.api.writing import OPTION_MEMBERS, answer_outcome, environment_of, read_options
from apps.configs.selectors import configurations
from apps.configs.services.promoting import Promotion, promote
from apps.engine.errors import invalid

PROMOTE_MEMBERS = (*OPTION_MEMBERS, "from", "keys", "choices")


class PromoteView(PlaceView):
    """Bringing another environment's configuration here."""

    @documented("Bring another environment's configuration, or chosen keys of it, here", WRITE)
    def post(self, request: Any, service: str) -> HttpResponse:
        """``{"from":"ENV" or "ENV@N","keys":[GLOB…]}``; keys that belong to an environment stay."""
        return self.once(
            lambda: self._promote(request, service),
            lambda: self.place_of_body(service, "publish", PROMOTE_MEMBERS),
        )

    def _promote(self, request: Any, service: str) -> HttpResponse:
        members = read_members(request, PROMOTE_MEMBERS)
        place = self.place(service, "publish", environment_of(request, members))
        text = typed(members, "from", str, "")
        if not text:
            raise invalid("/from", "required", "Say which environment to promote from.")
        origin, number = configurations.read_origin(actor=self.actor, place=place, text=text)
        outcome = promote(
            actor=self.actor,
            place=place,
            promotion=Promotion(origin, number, read_texts(members, "keys")),
            options=read_options(request, members),
        )
        return answer_outcome(outcome, place, request.path.removesuffix("/promote"))

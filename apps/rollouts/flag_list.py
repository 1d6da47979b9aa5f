"""The flags of all configurations, and which of them could be taken out."""

from dataclasses import dataclass
from datetime import datetime

from apps.access.policy import Place
from apps.configs.selectors.configurations import list_live, scope_filter
from apps.core import clock
from apps.core.actor import Actor
from apps.engine.errors import DomainError
from apps.rollouts.flags import KIND, Found, find_staleness, list_flags


@dataclass(frozen=True, slots=True)
class ListedFlag:
    """A flag and where it is live. ``stale`` says why it could go: see ``find_staleness``."""

    place: Place
    key: str
    found: Found
    stale: str

    @property
    def is_enabled(self) -> bool | None:
        """Whether it is switched on; ``None`` where it cannot be evaluated."""
        definition = self.found.definition
        return definition.enabled if definition else None

    @property
    def expires(self) -> str:
        """When it is meant to end, as it is written; empty where it is not."""
        definition = self.found.definition
        return str(definition.flag.get("expires", "")) if definition else ""


def list_everywhere(
    *,
    actor: Actor,
    service: str = "",
    environment: str = "",
    stale: bool = False,
    now: datetime | None = None,
) -> list[ListedFlag]:
    """The flags of what is live and may be read, by service, environment and key; those of one
    service or environment, or the ``stale`` ones, alone.
    """
    live = list_live(actor=actor).filter(
        scope_filter(actor, "read", "configuration__"),
        configuration__service__sections__type=KIND,
        version__retired=False,
    )
    if service:
        live = live.filter(configuration__service__slug__lower=service.lower())
    if environment:
        live = live.filter(configuration__environment__slug__lower=environment.lower())
    places = {
        row.configuration_id: Place(row.configuration.service, row.configuration.environment)
        for row in live
    }
    moment = now or clock.now()
    flags = list_flags(actor=actor, places=list(places.values()))
    return [
        listed
        for place, found in flags.items()
        if found is not None and not isinstance(found, DomainError)
        for key in sorted(found)
        if (listed := _listed(place, key, found.keys[key], moment)).stale or not stale
    ]


def _listed(place: Place, key: str, found: Found, now: datetime) -> ListedFlag:
    return ListedFlag(place, key, found, find_staleness(found, now))

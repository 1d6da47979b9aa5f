"""What stands in the way of taking something away, as far as the actor may know of it."""

from dataclasses import dataclass

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Live, Template
from apps.configs.referring import list_referring
from apps.configs.world import name_of
from apps.core.actor import Actor
from apps.registry.models import Configuration


@dataclass(frozen=True, slots=True)
class Standing:
    """Configurations that the actor may list, and how many there are beside them."""

    shown: list[Configuration]
    hidden: int


def list_live_at(*, actor: Actor, place: Place) -> Standing:
    """The live configurations at a place that are not retired."""
    rows = Live.objects.filter(version__retired=False)
    if place.service:
        rows = rows.filter(configuration__service=place.service)
    if place.environment:
        rows = rows.filter(configuration__environment=place.environment)
    return _standing(actor, _configurations(rows))


def list_extending(*, actor: Actor, template: Template) -> Standing:
    """The live configurations that extend a template."""
    rows = Live.objects.filter(templates=template, version__retired=False)
    return _standing(actor, _configurations(rows))


def list_referring_to(*, actor: Actor, place: Place) -> Standing:
    """The live configurations that refer to a key of the configuration at a place."""
    assert place.service is not None and place.environment is not None  # noqa: S101, PT018 - one
    return _standing(actor, list_referring(name_of(place.service, place.environment)))


def _configurations(rows: QuerySet[Live]) -> list[Configuration]:
    found = rows.select_related("configuration__service", "configuration__environment")
    return sorted((each.configuration for each in found), key=str)


def _standing(actor: Actor, found: list[Configuration]) -> Standing:
    shown = [each for each in found if policy.sees(actor, Place(each.service, each.environment))]
    return Standing(shown, len(found) - len(shown))

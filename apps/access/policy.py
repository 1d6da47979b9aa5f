"""The one permission question. Every interface asks it; nothing else decides."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.access.selectors import Rights, rights_of
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, ForbiddenError, NotFoundError
from apps.registry.models import Environment, Service


@dataclass(frozen=True, slots=True)
class Place:
    """What a question is about: a configuration, a service, an environment, or everything."""

    service: Service | None = None
    environment: Environment | None = None

    def __str__(self) -> str:
        parts = (self.service.slug if self.service else "*", self.environment)
        return f"{parts[0]}@{parts[1] or '*'}"


EVERYWHERE = Place()
IMPLIED_BY = {"secure": "manage"}


def allowed(actor: Actor, verb: str, place: Place, keys: Sequence[str] = ()) -> bool:
    """Whether ``actor`` has ``verb`` at ``place`` (and, with key rules, on every one of ``keys``)."""
    if actor.is_superuser:
        return True
    service_id = place.service.pk if place.service else None
    environment_id = place.environment.pk if place.environment else None
    rights = rights_of(actor)
    verbs = (verb, IMPLIED_BY.get(verb, verb))
    return any(rights.holds(each, service_id, environment_id) for each in verbs)


def require(actor: Actor, verb: str, place: Place, keys: Sequence[str] = ()) -> None:
    """Raise unless ``actor`` has ``verb`` at ``place``.

    Without ``list`` there it raises :class:`NotFoundError`, the same as for a thing that does
    not exist; with it, :class:`ForbiddenError` naming the missing right.
    """
    if allowed(actor, verb, place, keys):
        return
    require_sight(actor, place)
    raise ForbiddenError(
        f"This needs the right '{verb}' on {place}. Ask somebody with the right 'manage' there.",
        right=verb,
    )


def require_seen(actor: Actor, verb: str, place: Place) -> None:
    """Raise :class:`NotFoundError` without ``list`` there, :class:`ForbiddenError` without ``verb``.

    Both are judged by one reading of the actor's rights.
    """
    rights = find_rights(actor)
    if rights is None:
        return
    scope = (
        place.service.pk if place.service else None,
        place.environment.pk if place.environment else None,
    )
    if not (rights.holds("list", *scope) and rights.holds(verb, *scope)):
        require(actor, "list", place)
        require(actor, verb, place)


def sees(actor: Actor, place: Place) -> bool:
    """Whether the actor may know that ``place`` exists.

    A service is seen by whoever may list it in any environment, an environment likewise; the
    installation as a whole by everybody who has logged in.
    """
    if actor.is_superuser or (place.service is None and place.environment is None):
        return True
    rights = rights_of(actor)
    if place.service and place.environment:
        return rights.holds("list", place.service.pk, place.environment.pk)
    if place.service:
        return rights.touches_service("list", place.service.pk)
    return place.environment is not None and rights.touches_environment(
        "list", place.environment.pk
    )


def require_sight(actor: Actor, place: Place) -> None:
    """Raise :class:`NotFoundError` unless the actor may know that ``place`` exists."""
    if not sees(actor, place):
        raise NotFoundError(NOTHING_HERE)


def holds_anywhere(actor: Actor, verb: str) -> bool:
    """Whether the actor has ``verb`` on anything at all: enough to see templates."""
    return actor.is_superuser or rights_of(actor).holds_anywhere(verb)


def require_anywhere(actor: Actor, verb: str) -> None:
    """Raise :class:`ForbiddenError` unless the actor has ``verb`` on something."""
    if not holds_anywhere(actor, verb):
        raise ForbiddenError(f"This needs the right '{verb}' on something.", right=verb)


def find_rights(actor: Actor) -> Rights | None:
    """The actor's rights for filtering lists; ``None`` for those who pass everything."""
    return None if actor.is_superuser else rights_of(actor)

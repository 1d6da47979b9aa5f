"""The one permission question. Every interface asks it; nothing else decides."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.access.models import Grant, KeyRule
from apps.access.rights import Rights, rights_of
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, ForbiddenError, NotFoundError
from apps.engine.guarding import OPEN, Guard, Rule
from apps.engine.paths import Path, format_path
from apps.registry.models import Environment, Service
from apps.registry.selectors import descendants


@dataclass(frozen=True, slots=True)
class Place:
    """What a question is about: a configuration, a service, an environment, or everything."""

    service: Service | None = None
    environment: Environment | None = None

    def __str__(self) -> str:
        parts = (self.service.slug if self.service else "*", self.environment)
        return f"{parts[0]}@{parts[1] or '*'}"

    @property
    def words(self) -> str:
        """The same for people, where it is more than one configuration."""
        if self.service is None:
            return f"every service in {self.environment}" if self.environment else "everything"
        return str(self) if self.environment else f"{self.service} in every environment"


EVERYWHERE = Place()
IMPLIED_BY = {"secure": "manage"}


def guard(actor: Actor, verb: str, place: Place) -> Guard:
    """Which keys of the configuration at ``place`` the actor has ``verb`` on."""
    if actor.is_superuser:
        return OPEN
    found = [rights_of(actor).guard(each, *_scope(place)) for each in _verbs(verb)]
    own, *others = found
    if not others:
        return own
    rules = zip(own.rules, others[0].rules, strict=True)
    return Guard(
        own.free or others[0].free,
        tuple(Rule(one.glob, one.held or other.held) for one, other in rules),
    )


def allowed(actor: Actor, verb: str, place: Place, keys: Sequence[Path] = ()) -> bool:
    """Whether ``actor`` has ``verb`` at ``place``: on each of ``keys``, or without them on
    something there, which must then be asked key by key.
    """
    if actor.is_superuser:
        return True
    if keys:
        guarded = guard(actor, verb, place)
        return all(guarded.allows(key) for key in keys)
    rights = rights_of(actor)
    return any(rights.reaches(each, *_scope(place)) for each in _verbs(verb))


def allowed_free(actor: Actor, verb: str, place: Place) -> bool:
    """Whether ``actor`` has ``verb`` at ``place`` for every key that no rule covers."""
    if actor.is_superuser:
        return True
    rights = rights_of(actor)
    return any(rights.holds(each, *_scope(place)) for each in _verbs(verb))


def require_free(actor: Actor, verb: str, place: Place) -> None:
    """Raise unless :func:`allowed_free`, as :func:`require` does."""
    if not allowed_free(actor, verb, place):
        require_sight(actor, place)
        raise _missing(f"This needs the right '{verb}' on {place.words}.", verb, place)


def allowed_below(actor: Actor, verb: str, place: Place) -> bool:
    """Whether ``actor`` has ``verb`` at ``place`` and in every environment that inherits from it."""
    if actor.is_superuser:
        return True
    below = descendants(place.environment) if place.environment else []
    return allowed_free(actor, verb, place) and all(
        allowed_free(actor, verb, Place(place.service, each)) for each in below
    )


def require_below(actor: Actor, verb: str, place: Place) -> None:
    """Raise unless :func:`allowed_below`, as :func:`require` does. Inheriting environments that
    the actor may not know of are not named.
    """
    require_free(actor, verb, place)
    if not allowed_below(actor, verb, place):
        raise ForbiddenError(
            f"This holds in the environments that inherit from {place.words} too, and needs the right "
            f"'{verb}' in each of them.",
            right=verb,
        )


def allows_rule(actor: Actor, verb: str, rule: KeyRule) -> bool:
    """Whether the actor may hand on ``verb`` on the keys of ``rule``: see :func:`require_rule`."""
    if actor.is_superuser or (verb, rule.pk) in rights_of(actor).held:
        return True
    return allowed_below(actor, "manage", Place(rule.service, rule.environment))


def require_rule(actor: Actor, verb: str, rule: KeyRule) -> None:
    """Raise :class:`ForbiddenError` unless the actor has ``verb`` on the keys of ``rule``, or
    ``manage`` wherever the rule holds, and so could give it to himself.
    """
    if not allows_rule(actor, verb, rule):
        raise ForbiddenError(f"Nobody grants what he does not have: '{verb}'.", right=verb)


def _verbs(verb: str) -> tuple[str, ...]:
    return (verb, IMPLIED_BY[verb]) if verb in IMPLIED_BY else (verb,)


def _scope(place: Place) -> tuple[int | None, int | None]:
    return (
        place.service.pk if place.service else None,
        place.environment.pk if place.environment else None,
    )


def require(actor: Actor, verb: str, place: Place, keys: Sequence[Path] = ()) -> None:
    """Raise unless ``actor`` has ``verb`` at ``place``, as :func:`allowed` says it.

    Without ``list`` there it raises :class:`NotFoundError`, the same as for a thing that does
    not exist; with it, :class:`ForbiddenError` naming the missing right.
    """
    if allowed(actor, verb, place, keys):
        return
    require_sight(actor, place)
    on = f"{', '.join(map(format_path, keys))} of {place.words}" if keys else place.words
    detail = f"This needs the right '{verb}' on {on}. Ask somebody with the right 'manage' there."
    raise _missing(detail, verb, place)


def _missing(detail: str, verb: str, place: Place) -> ForbiddenError:
    error = ForbiddenError(detail, right=verb)
    error.subject = target_of(place)
    return error


def target_of(place: Place) -> str:
    """What the ledger calls a place: ``configuration:shop@production``, ``service:shop``, …"""
    if place.service and place.environment:
        return f"configuration:{place}"
    if place.service:
        return f"service:{place.service.slug}"
    return f"environment:{place.environment.slug}" if place.environment else "installation"


def require_seen(actor: Actor, verb: str, place: Place) -> None:
    """Raise :class:`NotFoundError` without ``list`` there, :class:`ForbiddenError` without ``verb``.

    Both are judged by one reading of the actor's rights.
    """
    rights = find_rights(actor)
    if rights is None:
        return
    if not (rights.holds("list", *_scope(place)) and rights.reaches(verb, *_scope(place))):
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
    return actor.is_superuser or any(map(rights_of(actor).holds_anywhere, _verbs(verb)))


def require_anywhere(actor: Actor, verb: str) -> None:
    """Raise :class:`ForbiddenError` unless the actor has ``verb`` on something."""
    if not holds_anywhere(actor, verb):
        raise ForbiddenError(f"This needs the right '{verb}' on something.", right=verb)


def require_in_some_environment(actor: Actor, verb: str, service: Service) -> None:
    """Raise unless ``actor`` has ``verb`` on the service in at least one environment, as
    :func:`require` does.
    """
    if not (actor.is_superuser or rights_of(actor).touches_service(verb, service.pk)):
        place = Place(service)
        require_sight(actor, place)
        detail = f"This needs the right '{verb}' on {service} in one environment at least."
        raise _missing(detail, verb, place)


def find_rights(actor: Actor) -> Rights | None:
    """The actor's rights for filtering lists; ``None`` for those who pass everything."""
    return None if actor.is_superuser else rights_of(actor)


KNOWN_TO = ("secure", "audit")
"""Whose holders may know of key rules and of roles made here; ``manage`` implies the first."""


def may_know_rule(actor: Actor, rule: KeyRule) -> bool:
    """Whether the actor may know of a key rule: who changes or audits it."""
    return may_know_rules_of(actor, Place(rule.service, rule.environment))


def may_know_rules_of(actor: Actor, scope: Place) -> bool:
    """Whether the actor may know of the key rules with exactly this scope."""
    return any(allowed(actor, verb, scope) for verb in KNOWN_TO)


def may_know_grant(actor: Actor, grant: Grant) -> bool:
    """Whether the actor may know of a grant: who could take it back, or audits everything."""
    return allowed(actor, "audit", EVERYWHERE) or may_withdraw(actor, grant)


def may_withdraw(actor: Actor, grant: Grant) -> bool:
    """Whether the actor may take a grant back."""
    if grant.key_rule is not None:
        rule = grant.key_rule
        return allowed(actor, "secure", Place(rule.service, rule.environment))
    return allowed(actor, "manage", Place(grant.service, grant.environment))

"""A configuration with the values of its secrets in it, for those who may."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.configurations import Published
from apps.core.actor import Actor
from apps.delivery.answers import VALUE, Answer, Question
from apps.engine import paths, spots
from apps.engine.errors import ConflictError, ForbiddenError
from apps.engine.spots import Spot
from apps.engine.values import Tree
from apps.vault.disclosing import SealedAnswer, seal_answer
from apps.vault.selectors import Found, find_named, key_of
from apps.vault.services import disclose


class Revealing:
    """The secrets that a question about ``published`` asks for, once the actor may have them all.

    Raises :class:`ForbiddenError` naming the keys when one right is missing: then no value is
    given at all. ``question`` is the same with the secrets' versions, for the entity tag.
    """

    def __init__(
        self, *, actor: Actor, place: Place, published: Published, question: Question
    ) -> None:
        self.actor, self.published = actor, published
        self.spots = _asked_for(published.secrets, question)
        self.found = find_named(place, spots.names_of(self.spots))
        _require_all(actor, place, self.spots, self.found)
        versions = sorted(
            f"{each.secret.pk.hex}:{each.version.number}" for each in self.found.values()
        )
        self.question = replace(question, revealed=tuple(versions))

    def answer(self, make: Callable[[Tree], Answer]) -> tuple[Answer, SealedAnswer | None]:
        """What ``make`` makes of the document with the values, which are disclosed by this and written
        down first; and the same for memory, sealed.
        """
        opened = disclose(actor=self.actor, found=self.found)
        made = make(spots.fill(self.published.tree, self.spots, opened))
        return made, seal_answer(made.body, account=self.actor.name, found=self.found.values())


def _asked_for(found: Sequence[Spot], question: Question) -> list[Spot]:
    """The spots that the answer will show."""
    asked = list(found)
    if question.view == VALUE:
        wanted = paths.parse_path(question.keys[0])
        return [spot for spot in asked if _overlap(spot.path, wanted)]
    if question.keys:
        globs = paths.parse_globs(question.keys)
        asked = [spot for spot in asked if any(glob.reaches(spot.path) for glob in globs)]
    sections = (question.section,) if question.section else question.env_sections
    return [spot for spot in asked if sections is None or spot.path[0] in sections]


def _overlap(one: paths.Path, other: paths.Path) -> bool:
    """Whether one path leads to the other, or through it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _require_all(
    actor: Actor, place: Place, asked: Sequence[Spot], found: dict[str, Found]
) -> None:
    missing = [spot for spot in asked if any(name not in found for name in spot.names)]
    refused = [
        spot
        for spot in asked
        if any(name in found and not _may(actor, place, spot, found[name]) for name in spot.names)
    ]
    if refused:
        keys = sorted({paths.format_path(spot.path) for spot in refused})
        raise ForbiddenError(
            f"Revealing needs the right 'reveal' for: {', '.join(keys)}.",
            right="reveal",
            keys=keys,
        )
    if missing:
        names = ", ".join(sorted({name for spot in missing for name in spot.names}))
        raise ConflictError(f"Secrets that it names are gone: {names}.", code="secret")


def _may(actor: Actor, place: Place, spot: Spot, secret: Found) -> bool:
    """A secret of the same service, also of a parent environment, by the right at the place; in
    a key that has a rule of its own by the right on that rule too.
    """
    same_service = secret.secret.service_id == (place.service.pk if place.service else None)
    where = place if same_service else secret.place
    return policy.allowed(actor, "reveal", where, [key_of(secret.secret.slug)]) and policy.guard(
        actor, "reveal", place
    ).passes_rules(spot.path)

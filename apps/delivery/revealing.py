"""A configuration with the values of its secrets in it, for those who may."""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.configurations import Published
from apps.core.actor import Actor
from apps.delivery.answers import VALUE, Answer, Question
from apps.engine import paths, spots
from apps.engine.errors import ConflictError, ForbiddenError
from apps.engine.spots import Spot
from apps.engine.values import Tree, canonical
from apps.vault.disclosing import SealedValue, disclose_again
from apps.vault.selectors import Found, find_named, key_of
from apps.vault.services import disclose


class Gap(NamedTuple):
    """Where a value stands in a body; in quotes, where ``is_quoted``."""

    name: str
    is_quoted: bool


def _as_text(value: Tree) -> str:
    return value if isinstance(value, str) else canonical(value)


def _in_json(value: Tree, gap: Gap) -> str:
    """A whole value, or a part of a string."""
    return canonical(value) if gap.is_quoted else canonical(_as_text(value))[1:-1]


def _as_it_is(value: Tree, gap: Gap) -> str:
    return f'"{_as_text(value)}"' if gap.is_quoted else _as_text(value)


Form = Callable[[Tree, Gap], str]
FORMS: Final[Sequence[Form]] = (_in_json, _as_it_is)
"""How a value may stand in a body."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A body without the values of its secrets: the ``parts`` around them, one more than there are
    ``gaps``, and the values as they are stored.
    """

    actor: Actor
    parts: tuple[bytes, ...] = field(repr=False)
    gaps: tuple[Gap, ...]
    values: Mapping[str, SealedValue] = field(repr=False)
    form: Form

    @property
    def size(self) -> int:
        """Bytes, about."""
        kept = sum(each.size for each in self.values.values())
        return 1_000 + kept + sum(len(part) + 100 for part in self.parts)

    def read(self, _revision: int) -> bytes | None:
        """The body with the values in it, which are disclosed by this; ``None``: not to be opened here."""
        opened = disclose_again(actor=self.actor, values=self.values)
        return None if opened is None else self.filled(opened)

    def filled(self, opened: Mapping[str, Tree]) -> bytes:
        """The parts, with the values in between."""
        middle = [self.form(opened[gap.name], gap).encode() for gap in self.gaps]
        return b"".join(b"%b%b" % pair for pair in zip(self.parts, [*middle, b""], strict=True))


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

    def answer(self, make: Callable[[Tree], Answer]) -> tuple[Answer, Sealed | None]:
        """What ``make`` makes of the document with the values, which are disclosed by this and written
        down first; and the same for memory, where it can be kept without them.
        """
        opened = disclose(actor=self.actor, found=self.found)
        made = make(self._filled(opened))
        return made, self._seal(make, opened, made.body)

    def _filled(self, values: Mapping[str, Tree]) -> Tree:
        return spots.fill(self.published.tree, self.spots, values)

    def _seal(
        self, make: Callable[[Tree], Answer], opened: Mapping[str, Tree], body: bytes
    ) -> Sealed | None:
        """The body around the values: made with marks in their place, and held against ``body``, for
        a format may write other bytes around a value than around a mark.
        """
        marks = {name: f"x{secrets.token_hex(16)}x" for name in opened}
        names = {mark.encode(): name for name, mark in marks.items()}
        marked = make(self._filled(marks)).body
        some = b"|".join(names)
        pieces = re.split(b'("(?:%b)"|%b)' % (some, some), marked) if names else [marked]
        gaps = tuple(Gap(names[each.strip(b'"')], each[:1] == b'"') for each in pieces[1::2])
        values = {name: SealedValue.of(each) for name, each in self.found.items()}
        if not all(each.is_local for each in values.values()):
            return None  # whoever waits for another server holds up everybody else
        for form in FORMS:
            sealed = Sealed(self.actor, tuple(pieces[::2]), gaps, values, form)
            if sealed.filled(opened) == body:
                return sealed
        return None


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

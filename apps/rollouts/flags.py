"""The flags of a configuration as one reader sees them, ready to be asked."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Final

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Section
from apps.configs.selectors.configurations import Published, find_live
from apps.configs.selectors.several import list_published
from apps.core.actor import Actor
from apps.engine.errors import DomainError
from apps.engine.flags.conditions import Context
from apps.engine.flags.evaluation import FLAG_NOT_FOUND, Definition, Evaluation, FlagSet
from apps.engine.section_types.flag_conditions import find_time
from apps.engine.section_types.flag_definitions import keep_known
from apps.engine.values import Tree, parse_canonical
from apps.registry.models import Service

KIND: Final = "feature_flags"
CACHED_SETS: Final = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A flag by the key that it is asked for: its section, its name there, and the section's flags."""

    section: str
    name: str
    flags: FlagSet

    @property
    def definition(self) -> Definition | None:
        """The flag, ``None`` where it cannot be evaluated."""
        return self.flags.definitions[self.name]


@dataclass(frozen=True, slots=True)
class ServiceFlags:
    """All flags of a service in an environment, from its live version.

    The key of a flag is its name. Where sections share a name the first of them, by its key, has
    it; in the others the flag's key is ``section/name``, unless a flag before it has that key.
    """

    service: str
    environment: str
    version: int
    revision: int
    sections: tuple[str, ...]
    keys: dict[str, Found]
    answers: dict[Evaluation, str] = field(default_factory=dict, compare=False, repr=False)
    """What was answered already, by what came out."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    def evaluate(self, key: str, context: Context) -> Evaluation:
        """What the context's unit gets of a flag."""
        found = self.keys.get(key)
        if found is None:
            return Evaluation(key, error=FLAG_NOT_FOUND)
        return found.flags.evaluate(found.name, context)._replace(flag=key)


_sets: OrderedDict[tuple[str, str, tuple[str, ...]], ServiceFlags] = OrderedDict()
_lock = Lock()


def find_flags(*, actor: Actor, place: Place) -> ServiceFlags | None:
    """The flags at ``place`` in the actor's view; ``None`` while nothing is published there, or
    what was is retired. Needs ``read``.
    """
    published = find_live(actor=actor, place=place)
    if published is None or published.row.retired or place.service is None:
        return None
    return flags_of(published, list_sections_of(place.service))


def list_flags(
    *, actor: Actor, places: Sequence[Place]
) -> dict[Place, ServiceFlags | DomainError | None]:
    """The same at several places, in as many statements as at one; an error is in the place of
    what may not be read.
    """
    rows = Section.objects.filter(
        service__in=[each.service.pk for each in places if each.service], type=KIND
    ).order_by("key")
    sections: dict[int, list[str]] = {}
    for service, key in rows.values_list("service_id", "key"):
        sections.setdefault(service, []).append(key)
    found: dict[Place, ServiceFlags | DomainError | None] = {}
    for place, published in list_published(actor=actor, places=places).items():
        if isinstance(published, DomainError):
            found[place] = published
        elif not published.row.retired and place.service is not None:
            found[place] = flags_of(published, tuple(sections.get(place.service.pk, ())))
    return found


def flags_of(published: Published, sections: tuple[str, ...]) -> ServiceFlags:
    """The flags of one version, in these sections."""
    name = (published.version_id, published.checksum, sections)
    with _lock:
        known = _sets.get(name)
    if known is not None:
        return known
    flags = ServiceFlags(
        published.service,
        published.environment,
        published.version,
        published.revision,
        sections,
        collect(_known(published, sections), sections),
    )
    with _lock:
        _sets[name] = flags
        if len(_sets) > CACHED_SETS:
            _sets.popitem(last=False)
    return flags


def _known(published: Published, sections: tuple[str, ...]) -> Tree:
    """The document as far as its reader sees it, with the flags alone that he sees as they are."""
    tree = published.tree
    if not published.is_partial:
        return tree
    whole = parse_canonical(published.row.effective.content)
    return {each: keep_known(whole.get(each), tree.get(each)) for each in sections}


def list_sections_of(service: Service) -> tuple[str, ...]:
    """The keys of the service's sections of flags."""
    rows = Section.objects.filter(service=service, type=KIND).order_by("key")
    return tuple(rows.values_list("key", flat=True))


def collect(tree: Tree, sections: tuple[str, ...]) -> dict[str, Found]:
    """The flags of a document by their keys."""
    keys: dict[str, Found] = {}
    for section in sections:
        flags = FlagSet(tree.get(section))
        for name in flags:
            key = f"{section}/{name}" if name in keys else name
            keys.setdefault(key, Found(section, name, flags))
    return keys


def list_readable(*, actor: Actor, place: Place) -> list[Service]:
    """The services whose configuration the actor may read in the environment of ``place``."""
    return [
        service
        for service in Service.objects.present()
        if policy.allowed(actor, "read", Place(service, place.environment))
        and policy.sees(actor, Place(service, place.environment))
    ]


def find_staleness(flag: Found, now: datetime) -> str:
    """Why a flag could be taken out: it has ``expired``, or gives ``everyone`` the same and is not
    meant to end by itself; empty for one that could not.
    """
    definition = flag.definition
    if definition is None:
        return ""
    expires = definition.flag.get("expires")
    moment = find_time(expires) if isinstance(expires, str) else None
    if moment is not None:
        return "expired" if moment <= now else ""
    return "everyone" if definition.serves_everyone else ""

"""The documents that there are, as an act leaves them: what composing reads, each row once.

A version's lock names the exact version of each layer and of each document that went in, so what a
version was made from can always be composed again from rows that never change.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q, QuerySet

from apps.access.policy import Place
from apps.configs.laying import Laid, laid_again, lay
from apps.configs.models import (
    Live,
    Overlay,
    Rule,
    Section,
    TemplateVersion,
    Version,
)
from apps.core.statements import Statement
from apps.engine import formats, merge, spots
from apps.engine.merge_keys import KEYWORD, MergeKeys
from apps.engine.served import Document
from apps.engine.uses import Name, Use, load_uses
from apps.engine.values import Tree, canonical, parse_canonical
from apps.registry.models import Configuration, Environment, Service
from apps.registry.selectors import read_parents


def name_of(service: Service, environment: Environment) -> Name:
    """How references call a configuration: by names in lower case, so that an answer about one
    that is hidden, and about one that does not exist, are the same.
    """
    return Name(service.slug.lower(), environment.slug.lower())


@dataclass(frozen=True, slots=True)
class Member:
    """A document of a world: the version that it is or will be, as others see it."""

    number: int
    key: str
    document: Document
    merged: Callable[[MergeKeys], Tree]
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Inherited:
    """The nearest ancestor's document."""

    environment: Environment
    member: Member

    @property
    def entry(self) -> dict[str, Any]:
        """What the lock says of it."""
        return {
            "environment": self.environment.slug,
            "version": self.member.number,
            "id": self.member.key,
        }

    def layer(self, merge_keys: MergeKeys) -> merge.Layer:
        """It as a layer."""
        return merge.Layer(f"environment:{self.environment.slug}", self.member.merged(merge_keys))


class World:
    """The documents that there are, as an act leaves them: what it plans stands before what is
    live. Read under the composition lock, each row once. What ``stays`` is left as it is live by
    what follows from the act, and is outdated where it would move.
    """

    def __init__(self, stays: Callable[[Place], bool] = lambda _place: False) -> None:
        self.stays = stays
        self.planned: dict[Name, Member] = {}
        self.templates: dict[str, TemplateVersion | None] = {}
        self._laid: dict[str, list[Laid]] = {}
        self._live: dict[Name, Live | None] = {}
        self._members: dict[Name, Member | None] = {}
        self._sections: dict[int, tuple[Section, ...]] = {}
        self._merge_keys: dict[int, MergeKeys] = {}
        self._rules: dict[int, list[Rule]] = {}
        self._overlays: dict[int, list[Overlay]] | None = None
        self._environments: dict[int, Environment] = {}
        self._parents: dict[int, tuple[int | None, bool]] = {}

    def load(self, places: Collection[tuple[Service, Environment]]) -> None:
        """Read what is live at ``places`` and their services' sections, in few statements."""
        if not places:
            return
        services = {service.pk: service for service, _environment in places}
        missing = [pk for pk in services if pk not in self._sections]
        declared: dict[int, list[Section]] = {pk: [] for pk in missing}
        for section in Section.objects.filter(service__in=missing):
            declared[section.service_id].append(section)
        self._sections |= {pk: tuple(found) for pk, found in declared.items()}
        self._read_rules([pk for pk in services if pk not in self._rules])
        names = {name_of(*place) for place in places} - self._live.keys()
        if names:
            rows = _lives().filter(
                configuration__service__in=services,
                configuration__environment__in={each.pk for _service, each in places},
            )
            self._note(rows, names)

    def live(self, service: Service, environment: Environment) -> Live | None:
        """The live pointer there."""
        name = name_of(service, environment)
        if name not in self._live:
            rows = _lives().filter(
                configuration__service=service, configuration__environment=environment
            )
            self._note(rows, {name})
        return self._live[name]

    def sections(self, service: Service) -> tuple[Section, ...]:
        """The sections that the service declares."""
        if service.pk not in self._sections:
            self._sections[service.pk] = _sections_of(service)
        return self._sections[service.pk]

    def rules(self, service: Service, environment: Environment) -> list[Rule]:
        """The rules that hold for documents of ``service`` in ``environment``."""
        if service.pk not in self._rules:
            self._rules[service.pk] = _rules_of(service)
        found = self._rules[service.pk]
        return [each for each in found if each.environment_id in (None, environment.pk)]

    def overlays(self, configuration: Configuration | None) -> list[Overlay]:
        """What is laid over a configuration, by the order in which it was made."""
        if self._overlays is None:
            self._overlays = _overlays_laid()
        return self._overlays.get(configuration.pk, []) if configuration is not None else []

    def merge_keys(self, service: Service) -> MergeKeys:
        """By the path of a list, the member by which its items merge."""
        if service.pk not in self._merge_keys:
            self._merge_keys[service.pk] = _merge_keys(self.sections(service))
        return self._merge_keys[service.pk]

    def uses(self, name: Name) -> tuple[Use, ...]:
        """What the live version of that name takes from elsewhere."""
        live = self._row(name)
        return load_uses(parse_canonical(live.version.uses)) if live else ()

    def find(self, name: Name) -> Member | None:
        """The document of that name, unless it is retired."""
        member = self.planned.get(name)
        if member is None and name not in self._members:
            live = self._row(name)
            self._members[name] = _member(live.version) if live else None
        member = member or self._members[name]
        return None if member is None or member.retired else member

    def _row(self, name: Name) -> Live | None:
        if name not in self._live:
            rows = _lives().filter(
                configuration__service__slug__lower=name.service,
                configuration__environment__slug__lower=name.environment,
            )
            self._note(rows, {name})
        return self._live[name]

    def inherited(self, service: Service, environment: Environment) -> Inherited | None:
        """The document of the nearest ancestor environment that has one."""
        chain = self._ancestors(environment)
        unread = {name_of(service, each) for each in chain} - self._live.keys()
        if unread:
            self.load([(service, each) for each in chain])
        for each in chain:
            member = self.find(name_of(service, each))
            if member is not None:
                return Inherited(each, member)
        return None

    def lay(self, extends: Sequence[Mapping[str, Any]]) -> list[Laid]:
        """The templates as layers; what many extend alike is made once."""
        key = canonical([dict(entry) for entry in extends])
        if key not in self._laid:
            self._laid[key] = lay(extends, self._newest_template)
        return self._laid[key]

    def _newest_template(self, slug: str) -> TemplateVersion | None:
        if slug not in self.templates:
            self.templates[slug] = newest_template(slug)
        return self.templates[slug]

    def depth(self, environment: Environment) -> int:
        """How many environments are above it."""
        return len(self._ancestors(environment))

    def has_heirs(self, environment: Environment) -> bool:
        """Whether another environment inherits from it."""
        return (environment.pk, True) in self._read_parents().values()

    def _ancestors(self, environment: Environment) -> list[Environment]:
        """Those above it as they are now: whoever waited for the lock may hold an older row."""
        parents = self._read_parents()
        chain: list[int] = []
        above = parents[environment.pk][0]
        while above is not None and len(chain) <= len(parents):
            chain.append(above)
            above = parents[above][0]
        if chain and not self._environments:
            self._environments = {each.pk: each for each in Environment.objects.all()}
        return [self._environments[each] for each in chain]

    def _read_parents(self) -> dict[int, tuple[int | None, bool]]:
        if not self._parents:
            self._parents = {pk: (parent, there) for pk, parent, there in read_parents()}
        return self._parents

    def _read_rules(self, services: Sequence[int]) -> None:
        rows = list(Rule.objects.filter(Q(service__in=services) | Q(service=None)))
        for pk in services:
            self._rules[pk] = [each for each in rows if each.service_id in (None, pk)]

    def _note(self, rows: Iterable[Live], names: Collection[Name]) -> None:
        self._live |= dict.fromkeys(names)
        for row in rows:
            place = row.configuration
            if place.service.deleted_at is None and place.environment.deleted_at is None:
                self._live[name_of(place.service, place.environment)] = row


SECTION_COLUMNS: Final = ("id", "service_id", "key", "type", "schema")
RULE_COLUMNS: Final = (
    *("id", "name", "service_id", "environment_id", "severity"),
    *("expression", "key", "equals", "message"),
)
_SECTIONS: Final = Statement(
    lambda key: Section.objects.filter(service=key).values_list(*SECTION_COLUMNS)
)
_RULES: Final = Statement(
    lambda key: Rule.objects.filter(Q(service=key) | Q(service=None)).values_list(*RULE_COLUMNS)
)
_LAID: Final = Statement(lambda _key: Overlay.objects.filter(laid=True).values_list("id"))


def _sections_of(service: Service) -> tuple[Section, ...]:
    """The sections that a service declares, as far as documents are held against them."""
    rows = _SECTIONS.rows(service.pk)
    return tuple(Section(**dict(zip(SECTION_COLUMNS, row, strict=True))) for row in rows)


def _rules_of(service: Service) -> list[Rule]:
    """The rules for a service, those for all among them, as far as they are judged."""
    rows = _RULES.rows(service.pk)
    return [Rule(**dict(zip(RULE_COLUMNS, row, strict=True))) for row in rows]


def _overlays_laid() -> dict[int, list[Overlay]]:
    """All overlays that are laid, by their configuration: they are few, and mostly there are none."""
    found: dict[int, list[Overlay]] = {}
    if not _LAID.rows(0):
        return found
    for each in Overlay.objects.select_related("patch").filter(laid=True).order_by("label"):
        found.setdefault(each.configuration_id, []).append(each)
    return found


def _lives() -> QuerySet[Live]:
    return Live.objects.select_related(
        "configuration__service",
        "configuration__environment",
        "version__source",
        "version__effective",
    )


def _member(version: Version) -> Member:
    """A version as others see it."""
    return Member(
        version.number,
        version.pk.hex,
        Document(
            parse_canonical(version.effective.content),
            tuple(spots.load(parse_canonical(version.secrets))),
            load_uses(parse_canonical(version.uses)),
            served=True,
        ),
        _merged_once(version),
        version.retired,
    )


def _merged_once(version: Version) -> Callable[[MergeKeys], Tree]:
    """:func:`merged_tree` of the version, made at most once for the same merge keys."""
    made: dict[MergeKeys, Tree] = {}

    def merged(merge_keys: MergeKeys) -> Tree:
        if merge_keys not in made:
            made[merge_keys] = merged_tree(version, merge_keys)
        return made[merge_keys]

    return merged


def merged_tree(version: Version, merge_keys: MergeKeys) -> Tree:
    """The merged, unresolved tree of a version, from the layers that its lock names."""
    return merge.merge_layers(layers_of(version, merge_keys), merge_keys)


def layers_of(version: Version, merge_keys: MergeKeys) -> list[merge.Layer]:
    """The layers that a version's lock names, lowest first, and its own document."""
    layers: list[merge.Layer] = []
    for entry in parse_canonical(version.lock):
        if "template" in entry:
            found = TemplateVersion.objects.select_related("content", "template").get(
                template__slug=entry["template"], number=entry["version"]
            )
            layers.append(laid_again(found, entry.get("with", {})).layer)
        elif "environment" in entry:
            below = Version.objects.select_related("source").get(pk=entry["id"])
            tree = merged_tree(below, merge_keys)
            layers.append(merge.Layer(f"environment:{entry['environment']}", tree))
    source = formats.parse(version.source.content, version.format).tree
    return [*layers, merge.Layer("own", source)]


def newest_template(slug: str) -> TemplateVersion | None:
    """The newest version of the template of that name, in any case."""
    return (
        TemplateVersion.objects.select_related("content", "template")
        .filter(template__slug__lower=slug, template__deleted_at__isnull=True)
        .order_by("-number")
        .first()
    )


def _merge_keys(declared: Sequence[Section]) -> MergeKeys:
    mentioning = (each for each in declared if f'"{KEYWORD}"' in each.schema)
    return MergeKeys({each.key: parse_canonical(each.schema) for each in mentioning})

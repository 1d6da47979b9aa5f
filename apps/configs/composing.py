"""Loading the layers of a configuration and composing them with the engine.

Layers, lowest first: the nearest ancestor environment's merged tree, the templates in the order
of ``extends``, the document itself. Then references are resolved to what is live where they lead.
A version's lock names the exact version of each layer and of each document that went in, so what a
version was made from can always be composed again from rows that never change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from apps.configs.models import Live, Section, Template, TemplateVersion, Version
from apps.engine import formats, merge, resolving, sections, spots
from apps.engine.errors import invalid
from apps.engine.resolving import Name, Resolver, Use
from apps.engine.spots import Spot
from apps.engine.values import Tree, canonical, parse_canonical
from apps.registry.models import Environment, Service
from apps.registry.selectors import ancestors

Lock = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Composed:
    """What composing gave: the tree below the document, the effective text, the lock, where
    secrets stand, and what is taken from other keys.
    """

    below: Tree
    effective: Tree
    text: str
    lock: Lock
    secrets: tuple[Spot, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Layers:
    """The lower layers of one configuration as of now, with the service's merge keys."""

    name: Name
    trees: tuple[merge.Layer, ...]
    lock: Lock
    merge_keys: Mapping[str, str]
    sections: tuple[Section, ...]

    @property
    def below(self) -> Tree:
        """The merged, unresolved tree under the document."""
        return merge.merge_layers(self.trees, self.merge_keys) if self.trees else {}


def check_extends(extends: object) -> list[dict[str, Any]]:
    """``extends`` as the contract writes it. Raises :class:`InvalidError` naming the entry."""
    if not isinstance(extends, list):
        raise invalid("/extends", "type", "'extends' is a list of {\"template\": name}.")
    checked = []
    for index, entry in enumerate(extends):
        pointer = f"/extends/{index}"
        if not isinstance(entry, dict) or not isinstance(entry.get("template"), str):
            raise invalid(pointer, "type", 'Each entry is {"template": name}.')
        if set(entry) - {"template", "with"}:
            raise invalid(pointer, "unknown_member", "An entry has 'template' and 'with' alone.")
        if entry.get("with"):
            raise invalid(f"{pointer}/with", "parameters", "Templates take no parameters yet.")
        checked.append({"template": entry["template"]})
    return checked


def load_layers(
    service: Service, environment: Environment, extends: Sequence[Mapping[str, Any]]
) -> Layers:
    """The layers below a document of ``service`` in ``environment``, at their newest versions."""
    declared = tuple(Section.objects.filter(service=service))
    merge_keys = _merge_keys(declared)
    trees: list[merge.Layer] = []
    lock: Lock = []
    inherited = _find_inherited(service, environment)
    if inherited is not None:
        slug = inherited.configuration.environment.slug
        trees.append(merge.Layer(f"environment:{slug}", merged_tree(inherited, merge_keys)))
        lock.append({"environment": slug, "version": inherited.number, "id": inherited.pk.hex})
    for version in _newest_templates(extends):
        trees.append(template_layer(version))
        lock.append({"template": version.template.slug, "version": version.number})
    return Layers(name_of(service, environment), tuple(trees), lock, merge_keys, declared)


def name_of(service: Service, environment: Environment) -> Name:
    """How references call a configuration: by names in lower case, so that an answer about one
    that is hidden, and about one that does not exist, are the same.
    """
    return Name(service.slug.lower(), environment.slug.lower())


def compose(layers: Layers, source: Tree) -> Composed:
    """Compose ``source`` over its layers, and resolve its references to what is live now.

    Raises :class:`InvalidError` for composition syntax and for references that lead nowhere.
    """
    trees = [*layers.trees, merge.Layer("own", source)]
    served = Served()
    made = resolving.compose(trees, layers.merge_keys, layers.name, served.find)
    lock = [*layers.lock, *served.lock()]
    return Composed(layers.below, made.tree, canonical(made.tree), lock, made.secrets, made.uses)


def resolver(layers: Layers, source: Tree) -> Callable[[Tree], Tree]:
    """Gives the value that a merged part of the document ``source`` has as references stand now."""
    merged = merge.merge_layers([*layers.trees, merge.Layer("own", source)], layers.merge_keys)
    lookup = resolving.around(layers.name, merged, Served().find)
    return partial(Resolver(lookup).part, layers.name)


class Served:
    """The live documents that references lead to, each read once."""

    def __init__(self) -> None:
        self._found: dict[Name, Version | None] = {}
        self._documents: dict[Name, resolving.Document] = {}

    def find(self, service: str, environment: str) -> tuple[Name, resolving.Document | None]:
        """See :data:`apps.engine.resolving.Lookup`."""
        name = Name(service.lower(), environment.lower())
        if name not in self._found:
            self._found[name] = version = _live_version(name)
            if version is not None:
                self._documents[name] = served_document(version)
        return name, self._documents.get(name)

    def lock(self) -> Lock:
        """The versions that were read, by name."""
        return [
            {"reference": str(name), "version": version.number, "id": version.pk.hex}
            for name, version in sorted(self._found.items())
            if version is not None
        ]


def _live_version(name: Name) -> Version | None:
    live = (
        Live.objects.select_related("version__effective")
        .filter(
            configuration__service__slug__lower=name.service,
            configuration__service__deleted_at__isnull=True,
            configuration__environment__slug__lower=name.environment,
            configuration__environment__deleted_at__isnull=True,
            version__retired=False,
        )
        .first()
    )
    return live.version if live else None


def served_document(version: Version) -> resolving.Document:
    """A version as references see it."""
    return resolving.Document(
        parse_canonical(version.effective.content),
        tuple(spots.load(parse_canonical(version.secrets))),
        resolving.load(parse_canonical(version.uses)),
        served=True,
    )


def merged_tree(version: Version, merge_keys: Mapping[str, str]) -> Tree:
    """The merged, unresolved tree of a version, from the layers that its lock names."""
    layers: list[merge.Layer] = []
    for entry in parse_canonical(version.lock):
        if "template" in entry:
            found = TemplateVersion.objects.select_related("content", "template").get(
                template__slug=entry["template"], number=entry["version"]
            )
            layers.append(template_layer(found))
        elif "environment" in entry:
            below = Version.objects.select_related("source").get(pk=entry["id"])
            tree = merged_tree(below, merge_keys)
            layers.append(merge.Layer(f"environment:{entry['environment']}", tree))
    source = formats.parse(version.source.content, version.format).tree
    return merge.merge_layers([*layers, merge.Layer("own", source)], merge_keys)


def template_layer(version: TemplateVersion) -> merge.Layer:
    """A template version as a layer."""
    name = f"template:{version.template.slug}@{version.number}"
    return merge.Layer(name, parse_canonical(version.content.content))


def _find_inherited(service: Service, environment: Environment) -> Version | None:
    """The live version of the nearest ancestor environment that has one with content."""
    if environment.parent_id is None:
        return None
    chain = [each.pk for each in ancestors(environment)]
    live = {
        each.configuration.environment_id: each.version
        for each in Live.objects.select_related(
            "version__source", "version__configuration__environment", "configuration"
        ).filter(configuration__service=service, configuration__environment__in=chain)
    }
    for pk in chain:
        if pk in live and not live[pk].retired:
            return live[pk]
    return None


def _newest_templates(extends: Sequence[Mapping[str, Any]]) -> list[TemplateVersion]:
    versions = []
    for index, entry in enumerate(extends):
        template = Template.objects.named(entry["template"]).first()
        newest = (
            TemplateVersion.objects.select_related("content", "template")
            .filter(template=template)
            .order_by("-number")
            .first()
            if template
            else None
        )
        if newest is None:
            raise invalid(
                f"/extends/{index}/template",
                "template",
                f"There is no template '{entry['template']}'.",
            )
        versions.append(newest)
    return versions


def _merge_keys(declared: Sequence[Section]) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in declared:
        found.update(sections.merge_keys(parse_canonical(section.schema), section.key))
    return found

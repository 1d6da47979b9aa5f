"""Which keys that there are today a key rule's pattern is about."""

from dataclasses import dataclass

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.configurations import list_live
from apps.core.actor import Actor
from apps.engine.errors import InvalidError, MalformedError, Problem
from apps.engine.paths import Glob, format_path, leaves
from apps.engine.values import parse_canonical
from apps.registry.models import Environment
from apps.vault.selectors import key_of, list_secrets

MOST_CONFIGURATIONS = 300
"""Live documents that one look reads at most."""
MOST_KEYS = 50


@dataclass(frozen=True, slots=True)
class Covered:
    """The keys of one configuration that a pattern is about, the first of them by name."""

    place: Place
    keys: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where a pattern matches; ``read`` of the ``there_are`` live configurations in the scope."""

    found: list[Covered]
    read: int
    there_are: int


def find_covered(*, actor: Actor, pattern: str, place: Place) -> Coverage:
    """The keys and secrets that ``pattern`` covers at ``place`` (service, environment, both or
    everywhere) and in environments that inherit from it, of those that the actor may know of.

    Raises :class:`InvalidError` for what is no pattern.
    """
    try:
        glob = Glob(pattern)
    except MalformedError as error:
        message = "A pattern is written security.**, flags.*.enabled or **.password."
        raise InvalidError(message, [Problem("/pattern", "path", message)]) from error
    below = _below(place.environment)
    rows = list_live(actor=actor, service=place.service).filter(version__retired=False)
    if below is not None:
        rows = rows.filter(configuration__environment__in=below)
    by_place: dict[Place, list[str]] = {}
    there_are = rows.count()
    for row in rows.select_related("version__effective")[:MOST_CONFIGURATIONS]:
        at = Place(row.configuration.service, row.configuration.environment)
        tree = parse_canonical(row.version.effective.content)
        keys = [format_path(path) for path, _leaf in leaves(tree) if path and glob.covers(path)]
        by_place[at] = policy.guard(actor, "list", at).allowed_keys(keys, tree)
    for secret in list_secrets(actor=actor, service=place.service):
        if (below is None or secret.environment_id in below) and glob.covers(key_of(secret.slug)):
            at = Place(secret.service, secret.environment)
            by_place.setdefault(at, []).append(format_path(key_of(secret.slug)))
    found = [Covered(at, sorted(keys)[:MOST_KEYS], len(keys)) for at, keys in by_place.items()]
    found = sorted((each for each in found if each.count), key=lambda each: str(each.place))
    return Coverage(found, min(there_are, MOST_CONFIGURATIONS), there_are)


def _below(environment: Environment | None) -> set[int] | None:
    """The environment and all that inherit from it; ``None``: every environment."""
    if environment is None:
        return None
    parents = dict(Environment.objects.present().values_list("pk", "parent_id"))
    below = {environment.pk}
    while True:
        more = {pk for pk, parent in parents.items() if parent in below} | below
        if more == below:
            return below
        below = more

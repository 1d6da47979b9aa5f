"""The names of secrets in a configuration: that they exist, who may write them, who uses them."""

from collections.abc import Callable, Collection, Sequence

from apps.access import policy
from apps.access.policy import Place
from apps.core.actor import Actor
from apps.engine.errors import Problem
from apps.engine.guarding import visible
from apps.engine.paths import find
from apps.engine.spots import Spot, literal_names, names_of
from apps.engine.values import Tree
from apps.registry.models import Configuration
from apps.vault.models import SecretUse
from apps.vault.selectors import find_named, may_name, split_name

Known = Callable[[Spot], Collection[str]]
"""Which of the names at a spot need no right of their own: those that were known before."""


def check_names(
    actor: Actor, place: Place, spots: Sequence[Spot], known: Known | None = None
) -> list[Problem]:
    """What is wrong with the secrets that a document names at ``place``.

    Each must exist. A name that is not ``known`` there needs ``edit`` on the secret's own place
    too; without it the secret is as good as missing. Without ``known`` all are.
    """
    names = names_of(spots)
    found = find_named(place, names)
    foreign = (
        {name for name in found if not may_name(actor, found[name].secret)} if known else set()
    )
    return [
        Problem(spot.pointer, "secret", f"There is no secret '{name}' here that you may use.")
        for spot in spots
        for name in spot.names
        if name not in found or (known and name in foreign and name not in known(spot))
    ]


def known_names(
    actor: Actor,
    place: Place,
    live: tuple[Tree, Sequence[Spot]],
    new: Tree,
    brought: Collection[str] = (),
    merged: Tree = None,
) -> Known:
    """The names that ``live``, a document with its spots, holds already, for the document ``new``.

    At a key that the actor may read only those that he can read there: else the answer would tell
    what hidden keys name. ``brought`` are names that came with references of ``merged``, the
    unresolved document; one that is written out there is none of them.
    """
    tree, spots = live
    every = set(names_of(spots))
    reads = policy.guard(actor, "read", place)
    if reads.is_open:
        return lambda _spot: every | set(brought)
    before, after = visible(tree, reads), visible(new, reads)
    seen = set(names_of([spot for spot in spots if find(before, spot.path)[0]]))

    def known(spot: Spot) -> Collection[str]:
        if not find(after, spot.path)[0]:
            return every | set(brought)
        return seen | (set(brought) - literal_names(find(merged, spot.path)[1]))

    return known


def note_uses(configuration: Configuration, spots: Sequence[Spot]) -> None:
    """Make the rows that say which secrets the live configuration names what they are now."""
    wanted = set()
    for name in names_of(spots):
        service, slug = split_name(configuration.service, name)
        if service is not None:
            wanted.add((service.pk, slug.lower()))
    rows = SecretUse.objects.filter(configuration=configuration)
    present = {(row.service_id, row.slug): row.pk for row in rows}
    gone = [pk for key, pk in present.items() if key not in wanted]
    if gone:
        rows.filter(pk__in=gone).delete()
    SecretUse.objects.bulk_create(
        SecretUse(configuration=configuration, service_id=service, slug=slug)
        for service, slug in sorted(wanted - present.keys())
    )

"""The names of secrets in a configuration: that they exist, who may write them, who uses them."""

from collections.abc import Collection, Sequence

from apps.access.policy import Place
from apps.core.actor import Actor
from apps.engine.errors import Problem
from apps.engine.spots import Spot, names_of
from apps.registry.models import Configuration
from apps.vault.models import SecretUse
from apps.vault.selectors import find_named, may_name, split_name


def check_names(
    actor: Actor, place: Place, spots: Sequence[Spot], known: Collection[str]
) -> list[Problem]:
    """What is wrong with the secrets that a document names at ``place``.

    Each must exist. A name that is not ``known`` from the live version needs ``edit`` on the
    secret's own place too; without it the secret is as good as missing.
    """
    names = names_of(spots)
    found = find_named(place, names)
    refused = {
        name
        for name in names
        if name not in found or (name not in known and not may_name(actor, found[name].secret))
    }
    return [
        Problem(spot.pointer, "secret", f"There is no secret '{name}' here that you may use.")
        for spot in spots
        for name in spot.names
        if name in refused
    ]


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

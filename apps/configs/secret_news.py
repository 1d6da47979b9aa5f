"""What watchers of a configuration hear when a secret that it names has another value."""

from collections.abc import Sequence

from apps.audit.selectors import has_event
from apps.audit.services import Event
from apps.configs.models import Live, OverlaidDocument, Version
from apps.engine import paths, spots
from apps.engine.spots import Spot
from apps.engine.values import Tree, parse_canonical
from apps.registry.models import Configuration
from apps.vault.models import Secret

CAUSE = "secret"
ACTION = f"configuration.{CAUSE}"
SAME_VERSION = (ACTION, "configuration.experiment")
"""What watchers are told of while the version stays the same."""


def events_of(secret: Secret, users: Sequence[Configuration]) -> list[Event]:
    """One event for each live configuration: the same version, and the keys where it stands.

    The caller holds the composition lock.
    """
    rows = Live.objects.select_related(
        "version", "configuration__service", "configuration__environment"
    ).filter(configuration__in=users, version__retired=False)
    return [_event(secret, live) for live in rows.order_by("configuration")]


def has_news(service: str, environment: str, *, after: int) -> bool:
    """Whether watchers of a configuration were told of a secret or an experiment after revision
    ``after``: the version is the same, and what they are served may be another.
    """
    return has_event(actions=SAME_VERSION, target=_target(service, environment), after=after)


def _target(service: str, environment: str) -> str:
    return f"configuration:{service}@{environment}"


def _event(secret: Secret, live: Live) -> Event:
    configuration, version = live.configuration, live.version
    service, environment = configuration.service, configuration.environment
    names = {f"{secret.service.slug}/{secret.slug}".lower()}
    if service.pk == secret.service_id:
        names.add(secret.slug.lower())
    keys = sorted(
        {
            paths.format_path(spot.path)
            for spot in _spots_of(version)
            if any(name.lower() in names for name in spot.names)
        }
    )
    data: dict[str, Tree] = {
        "service": service.slug,
        "environment": environment.slug,
        "version": version.number,
        "checksum": version.checksum,
        "keys": [*keys],
        "cause": CAUSE,
        "secret": str(secret),
    }
    return Event(ACTION, _target(service.slug, environment.slug), data)


def _spots_of(version: Version) -> list[Spot]:
    """Where secrets stand in a version, and in what is served of it in a variant."""
    rows = OverlaidDocument.objects.filter(version=version, overlay__laid=True)
    stored = [version.secrets, *rows.values_list("secrets", flat=True)]
    return [spot for each in stored for spot in spots.load(parse_canonical(each))]

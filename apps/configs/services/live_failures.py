"""What is live and would break a new rule or schema: shown before it is saved."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from django.db.models import Q, QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Live
from apps.core.actor import Actor
from apps.engine import spots
from apps.engine.errors import InvalidError, Problem
from apps.engine.paths import Path
from apps.engine.spots import Spot
from apps.engine.values import Tree, parse_canonical

MAX_TOLD: Final = 100
FAILING: Final = "live_failures"
Check = Callable[[Place, Tree, Sequence[Spot]], list[Problem]]
"""What a document at a place, with secrets where they stand, would break."""


def refuse_failing(
    actor: Actor,
    scope: Place,
    reads: Sequence[Path],
    failing: Check,
    *,
    acknowledge: bool,
) -> int:
    """Raise :class:`InvalidError` (code ``live_failures``) naming every live configuration in
    ``scope`` that would fail, unless the actor says that he knows. Returns how many fail.

    Only configurations whose keys at ``reads`` the actor may read are looked at: what a new rule says
    about others would tell him what stands there. Their number is told.
    """
    problems: list[Problem] = []
    places = unread = 0
    for live in _live_in(scope).iterator(chunk_size=200):
        place = Place(live.configuration.service, live.configuration.environment)
        guard = policy.guard(actor, "read", place)
        if not all(guard.allows_whole(path) if path else guard.is_open for path in reads):
            unread += 1
            continue
        found = _failing(live, place, failing)
        places += bool(found)
        problems += [
            replace(each, service=str(place.service), environment=str(place.environment))
            for each in found[: MAX_TOLD - len(problems)]
        ]
    if places and not acknowledge:
        also = f" {unread} more could not be looked at for you." if unread else ""
        raise InvalidError(
            f"{places} live configuration(s) would not be valid any more.{also} Mend them first, or "
            'acknowledge it ("acknowledge":true): they stay as they are, and their next publish must '
            "mend them.",
            problems,
            code=FAILING,
        )
    return places


def _failing(live: Live, place: Place, failing: Check) -> list[Problem]:
    secrets = spots.load(parse_canonical(live.version.secrets))
    return failing(place, parse_canonical(live.version.effective.content), secrets)


def _live_in(scope: Place) -> QuerySet[Live]:
    chosen = Q(version__retired=False, configuration__service__deleted_at__isnull=True)
    chosen &= Q(configuration__environment__deleted_at__isnull=True)
    if scope.service:
        chosen &= Q(configuration__service=scope.service)
    if scope.environment:
        chosen &= Q(configuration__environment=scope.environment)
    return Live.objects.filter(chosen).select_related(
        "configuration__service", "configuration__environment", "version__effective"
    )

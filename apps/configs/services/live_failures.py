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
from apps.engine.guarding import Guard, visible
from apps.engine.paths import find, from_pointer
from apps.engine.spots import Spot
from apps.engine.values import Tree, parse_canonical

MAX_TOLD: Final = 100
FAILING: Final = "live_failures"
HOW: Final = 'acknowledge it ("acknowledge":true)'
"""How one saves all the same, in the words of the API."""
MISSING: Final = ("required", "minProperties", "dependentRequired", "dependencies")
"""What is said of what may only seem to be lacking."""

ORDER: Final = (
    "configuration__service__slug",
    "configuration__environment__rank",
    "configuration__environment__slug",
)
Check = Callable[[Place, Tree, Sequence[Spot]], list[Problem]]
"""What a document at a place, with secrets where they stand, would break."""


def refuse_failing(actor: Actor, scope: Place, failing: Check, *, acknowledge: bool) -> int:
    """Raise :class:`InvalidError` (code ``live_failures``) naming every live configuration in
    ``scope`` that would fail, unless the actor says that he knows. Returns how many fail.

    Each that he may list is looked at as he sees it: what a new rule says of hidden keys would tell him what
    stands there.
    """
    problems: list[Problem] = []
    places = 0
    for live in live_in(scope).iterator(chunk_size=200):
        place = Place(live.configuration.service, live.configuration.environment)
        if not policy.sees(actor, place):
            continue
        found = _failing(live, place, policy.guard(actor, "read", place), failing)
        places += bool(found)
        problems += [
            replace(each, service=str(place.service), environment=str(place.environment))
            for each in found[: MAX_TOLD - len(problems)]
        ]
    refuse(places, problems, acknowledge=acknowledge)
    return places


def refuse(places: int, problems: Sequence[Problem], *, acknowledge: bool) -> None:
    """Raise :class:`InvalidError` where live configurations fail and the actor does not say that he
    knows.
    """
    if places and not acknowledge:
        raise InvalidError(
            f"{places} live configuration(s) would not be valid any more, as far as you may read "
            f"them. Mend them first, or {HOW}: they stay as they are, and their next publish must "
            "mend them.",
            problems,
            code=FAILING,
        )


def _failing(live: Live, place: Place, reads: Guard, failing: Check) -> list[Problem]:
    tree = visible(parse_canonical(live.version.effective.content), reads)
    secrets = spots.load(parse_canonical(live.version.secrets))
    seen = [spot for spot in secrets if find(tree, spot.path)[0]]
    return [
        each
        for each in failing(place, tree, seen)
        if each.code not in MISSING or reads.allows_whole(from_pointer(each.pointer))
    ]


def live_in(scope: Place) -> QuerySet[Live]:
    """What is live there and not retired, by service and rank."""
    chosen = Q(version__retired=False, configuration__service__deleted_at__isnull=True)
    chosen &= Q(configuration__environment__deleted_at__isnull=True)
    if scope.service:
        chosen &= Q(configuration__service=scope.service)
    if scope.environment:
        chosen &= Q(configuration__environment=scope.environment)
    rows = Live.objects.filter(chosen).select_related(
        "configuration__service", "configuration__environment", "version__effective"
    )
    return rows.order_by(*ORDER)

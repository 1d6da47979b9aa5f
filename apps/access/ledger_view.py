"""The ledger as an actor may see it: what key rules hide from him is hidden here too.

Whoever has ``audit`` everywhere reads every event. Where a rule takes keys out of his grants he is
not told their names, nor digests of what they are part of: such an event is *shortened*.
"""

from apps.access import policy
from apps.access.policy import Place
from apps.audit.models import AuditEvent
from apps.audit.selectors import EventFilters, list_events, names_key
from apps.audit.shortening import DIGESTS, KEYS, LISTS, Shown, shorten
from apps.core.actor import Actor
from apps.engine.errors import DomainError
from apps.engine.guarding import Guard
from apps.engine.paths import parse_path
from apps.engine.values import Tree, parse_canonical
from apps.registry.selectors import find_environment, find_service

VERBS = ("list", "read")
CONFIGURATION = "configuration:"


class LedgerView:
    """How one actor sees events; called with one. ``key`` is the key that he looks for.

    Rights are those of when it was made: make one for each request.
    """

    def __init__(self, actor: Actor, key: str = "") -> None:
        self._actor, self._key = actor, key
        rights = policy.find_rights(actor)
        self.is_whole = rights is None or all(
            (verb, rule.pk) in rights.held for rule in rights.book.entries for verb in VERBS
        )
        self._guards: dict[str, list[Guard] | None] = {}

    def __call__(self, event: AuditEvent) -> Shown | None:
        """The event as he sees it; ``None`` when it names the key that he looks for in what he may
        not see alone.
        """
        if self.is_whole:
            return Shown(event, event.data)
        data = parse_canonical(event.data)
        if data.keys().isdisjoint(DIGESTS | KEYS):
            return Shown(event, event.data)
        guards = self._guards_of(event.target)
        if guards is not None and all(rule.held for guard in guards for rule in guard.rules):
            return Shown(event, event.data)
        names, lists = guards[0] if guards else None, data.get(LISTS)
        shown = shorten(event, data, lambda key: names is not None and _is_seen(names, key, lists))
        return shown if not self._key or names_key(shown.data, self._key) else None

    def page(self, filters: EventFilters, beyond: int | None, size: int) -> list[Shown]:
        """At most ``size`` events that match, in the order of the filters."""
        found: list[Shown] = []
        while len(found) < size:
            rows = list(list_events(filters, beyond=beyond)[:size])
            found += [shown for row in rows if (shown := self(row)) is not None]
            if len(rows) < size:
                break
            beyond = rows[-1].number
        return found[:size]

    def _guards_of(self, target: str) -> list[Guard] | None:
        """What he may do with the keys of a configuration; ``None`` for any other object, which
        may be about keys everywhere.
        """
        if target not in self._guards:
            place = _find_place(target)
            self._guards[target] = (
                [policy.guard(self._actor, verb, place) for verb in VERBS] if place else None
            )
        return self._guards[target]


def _find_place(target: str) -> Place | None:
    if not target.startswith(CONFIGURATION):
        return None
    service, _at, environment = target.removeprefix(CONFIGURATION).partition("@")
    found = find_service(service), find_environment(environment)
    return Place(*found) if found[0] and found[1] else None


def _is_seen(guard: Guard, key: str, named_lists: Tree) -> bool:
    """Whether a changed key is covered by no rule that is not held. A list counts as what may be in
    it, since a hidden item hides all of it, and so does each key of an event that does not name its
    lists: the documents are not asked.
    """
    try:
        path = parse_path(key)
    except DomainError:
        return False
    if isinstance(named_lists, list) and key not in named_lists:
        return guard.passes_rules(path)
    lists = [path[:at] for at, step in enumerate(path) if isinstance(step, int)]
    return guard.passes_rules_in_list(path) and all(map(guard.passes_rules_in, lists))

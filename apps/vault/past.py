"""Secrets as they were after an act, without their values: replayed from the ledger, which names the
version in each event, and from the history of what they are for.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.audit.models import AuditEvent
from apps.audit.selectors import Point, list_events_on
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.engine.values import Tree, parse_canonical
from apps.vault.models import Secret, SecretVersion
from apps.vault.selectors import key_of
from apps.vault.versions import target_of

ACTIONS: Final = (
    "secret.created",
    "secret.changed",
    "secret.written",
    "secret.rotation_prepared",
    "secret.rotated",
    "secret.rotation_failed",
    "secret.destroyed",
    "secret.rotation_set",
    "secret.rotation_removed",
    "secret.deleted",
)
"""Each act after which a secret is another one. Each of ``created`` and ``changed`` writes one row of
its history.
"""


@dataclass(slots=True)
class Past:
    """A secret as of a point: its description, the versions that stages named, those whose keys were
    gone, and the settings of its rotation.
    """

    secret: Secret
    revision: int
    description: str = ""
    stages: dict[str, int] = field(default_factory=dict)
    destroyed: set[int] = field(default_factory=set)
    rotation: Mapping[str, Tree] | None = None

    @property
    def current(self) -> int | None:
        """The version that was current."""
        return self.stages.get("current")

    def stages_of(self, number: int) -> list[str]:
        """Which stages named a version, sorted."""
        return sorted(name for name, version in self.stages.items() if version == number)

    def take(self, event: AuditEvent) -> None:
        """Go on by one event."""
        data = parse_canonical(event.data)
        match event.action:
            case "secret.created":
                self.stages = {"current": 1}
            case "secret.written" | "secret.rotated":
                self._make_current(int(data["version"]))
            case "secret.rotation_prepared":
                self.stages["pending"] = int(data["version"])
            case "secret.rotation_failed" if "pending" in self.stages:
                self._destroy(self.stages["pending"])
            case "secret.destroyed":
                self._destroy(int(data["version"]))
            case "secret.rotation_set":
                self.rotation = data
            case "secret.rotation_removed":
                self.rotation = None

    def _make_current(self, number: int) -> None:
        if self.stages.get("pending") == number:
            del self.stages["pending"]
        self.stages |= {"previous": self.stages["current"], "current": number}

    def _destroy(self, number: int) -> None:
        self.destroyed.add(number)
        self.stages = {name: each for name, each in self.stages.items() if each != number}


def list_secrets_at(
    *,
    actor: Actor,
    point: Point,
    service: str | None = None,
    environment: str | None = None,
) -> list[Past]:
    """The secrets that there were as of ``point`` and that the actor may know of, by their places and
    names; those of a service, in an environment, where they are named.
    """
    rows = _rows()
    if service:
        rows = rows.filter(service__slug__lower=service.lower())
    if environment:
        rows = rows.filter(environment__slug__lower=environment.lower())
    rights = policy.find_rights(actor)
    seen = [
        row
        for row in rows
        if rights is None
        or rights.guard("list", row.service_id, row.environment_id).allows(key_of(row.slug))
    ]
    return replay(seen, point)


def get_secret_at(*, actor: Actor, place: Place, name: str, point: Point) -> Past:
    """The secret of that name that there was at exactly this place. Raises :class:`NotFoundError`,
    too for those who may not ``list`` there.
    """
    policy.require(actor, "list", place)
    rows = _rows().filter(
        service=place.service, environment=place.environment, slug__lower=name.lower()
    )
    seen = [each for each in rows if policy.allowed(actor, "list", place, [key_of(each.slug)])]
    found = replay(seen, point)
    if not found:
        raise NotFoundError(NOTHING_HERE)
    return found[0]


def list_versions_at(past: Past) -> QuerySet[SecretVersion]:
    """The versions of a secret that there were, newest first; never the values."""
    rows = past.secret.versions.filter(revision__lte=past.revision).order_by("-number")
    return rows.defer("sealed")


def _rows() -> QuerySet[Secret]:
    """Those of places that are there, deleted ones too."""
    rows = Secret.objects.select_related("service", "environment")
    return rows.filter(service__deleted_at=None, environment__deleted_at=None)


def replay(secrets: Collection[Secret], point: Point) -> list[Past]:
    """Those of the secrets that there were as of ``point``, as they were."""
    events = defaultdict(list)
    targets = {target_of(each) for each in secrets}
    for event in list_events_on(targets=targets, actions=ACTIONS, until=point.revision):
        events[event.target].append(event)
    first = SecretVersion.objects.filter(number=1, revision__lte=point.revision)
    began = dict(first.filter(secret__in=secrets).values_list("secret", "revision"))
    said = defaultdict(list)
    history = Secret.history.filter(id__in=began).order_by("history_id")
    for pk, description in history.values_list("id", "description"):
        said[pk].append(description)
    found = []
    for secret in secrets:
        if secret.pk in began:
            # a name may be used again: of its events those since the secret was made
            own = [e for e in events[target_of(secret)] if e.revision >= began[secret.pk]]
            if not any(each.action == "secret.deleted" for each in own):
                found.append(_replayed(secret, point, own, said[secret.pk]))
    return found


def _replayed(
    secret: Secret, point: Point, events: list[AuditEvent], descriptions: list[str]
) -> Past:
    past = Past(secret, point.revision)
    for event in events:
        past.take(event)
    told = [each for each in events if each.action in ("secret.created", "secret.changed")]
    past.description = descriptions[len(told) - 1]
    return past

"""Registering, changing and hiding services and environments."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import QuerySet

from apps.access import policy, rights
from apps.access.policy import EVERYWHERE, Place
from apps.audit.services import Event, append
from apps.configs.models import Live
from apps.configs.services.bases import Options
from apps.configs.services.kernel import Affected, commit, lock_composition
from apps.configs.services.propagation import follow
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug, check_text, refuse_unknown
from apps.core.transactions import locked, undone, writing
from apps.engine import values
from apps.engine.errors import invalid, taken
from apps.engine.values import Tree
from apps.registry.models import Environment, Service
from apps.registry.selectors import ancestors, descendants, find_environment, find_group
from apps.vault.models import Secret
from apps.vault.wrapping import ids_again

RESERVED_SERVICES = ("self", "param", "secret")
RESERVED_ENVIRONMENTS = ("live",)
MAX_LABELS = 64
SERVICE_MEMBERS = ("name", "description", "owner", "labels")
ENVIRONMENT_MEMBERS = ("name", "parent", "rank", "default", "protected", "required_approvals")


def create_service(*, actor: Actor, slug: str, **members: Any) -> Service:
    """Register a service. Members: ``name, description, owner`` (group name) ``, labels``.

    Needs ``manage`` everywhere. Raises :class:`InvalidError` for a taken or refused name.
    """
    policy.require(actor, "manage", EVERYWHERE)
    check_slug(slug, reserved=RESERVED_SERVICES)
    with writing():
        if Service.objects.filter(slug__lower=slug.lower()).exists():
            raise taken("/slug", "This name is taken, or was and is not used again.")
        service = Service(slug=slug, name=slug, created_at=clock.now())
        before = ids_again().get(slug)
        if before is not None and not Service.objects.filter(pk=before).exists():
            service.pk = before
        _fill_service(service, members)
        _save(service, actor, "service.created")
        ids_again()[slug] = service.pk
    return service


def update_service(*, actor: Actor, service: Service, **members: Any) -> Service:
    """Change a service's members. Needs ``manage`` on it."""
    policy.require(actor, "manage", Place(service))
    with writing():
        service = locked(service)
        _fill_service(service, members)
        _save(service, actor, "service.updated")
    return service


def delete_service(*, actor: Actor, service: Service) -> None:
    """Hide a service whose configurations are all retired; its name is never used again."""
    policy.require(actor, "manage", Place(service))
    with writing():
        lock_composition()
        service = locked(service)
        _refuse_live(Live.objects.filter(configuration__service=service, version__retired=False))
        _refuse_secrets(Secret.objects.present().filter(service=service))
        service.deleted_at = clock.now()
        _save(service, actor, "service.deleted")


def create_environment(*, actor: Actor, slug: str, **members: Any) -> Environment:
    """Make an environment. Members: ``name, parent`` (name or None) ``, rank, default,
    protected, required_approvals``. Needs ``manage`` everywhere.
    """
    policy.require(actor, "manage", EVERYWHERE)
    check_slug(slug, reserved=RESERVED_ENVIRONMENTS)
    if slug.isdigit():
        raise invalid("/slug", "slug", "An environment's name may not be a number.")
    with writing():
        lock_composition()
        if Environment.objects.filter(slug__lower=slug.lower()).exists():
            raise taken("/slug", "This name is taken, or was and is not used again.")
        environment = Environment(slug=slug, name=slug, created_at=clock.now())
        _fill_environment(environment, members, actor)
        _save(environment, actor, "environment.created")
    return environment


@dataclass(frozen=True, slots=True)
class EnvironmentOutcome:
    """An environment as it is now, or would be, and which configurations follow or stay behind."""

    environment: Environment
    affected: list[Affected] = field(default_factory=list)


def update_environment(
    *,
    actor: Actor,
    environment: Environment,
    dependents: str = "refuse",
    dry_run: bool = False,
    **members: Any,
) -> EnvironmentOutcome:
    """Change an environment. Where its parent is another, all that is composed in it, and in those
    that inherit from it, is composed again in the same act. A ``dry_run`` stores nothing.

    Raises :class:`InvalidError` naming what would be invalid then, unless ``dependents`` is ``leave``.
    """
    policy.require(actor, "manage", Place(environment=environment))
    Options(dependents=dependents).check()
    reader = replace(actor, generation=None)  # another parent's key rules hold from now on
    with writing():
        lock_composition()
        try:
            with undone() if dry_run else nullcontext():
                environment = locked(environment)
                parent_before = environment.parent_id
                _fill_environment(environment, members, actor)
                mark_history(environment, actor)
                environment.save()
                moved = environment.parent_id != parent_before
                touched = _composed_in(environment) if moved else {}
                spread = follow([], reader, dependents=dependents, touched=touched)
                affected = spread.affected(reader)
                if not dry_run:
                    commit([], actor, spread, also=[_event("environment.updated", environment)])
        finally:
            rights.forget()  # what was remembered of a parent may be undone
    return EnvironmentOutcome(environment, affected)


def _composed_in(environment: Environment) -> dict[Place, str]:
    """The live configurations in it and in the environments that inherit from it."""
    rows = Live.objects.filter(
        configuration__environment__in=[environment, *descendants(environment)],
        version__retired=False,
    ).select_related("configuration__service", "configuration__environment")
    return {
        Place(each.configuration.service, each.configuration.environment): "inherited"
        for each in rows
    }


def delete_environment(*, actor: Actor, environment: Environment) -> None:
    """Hide an environment that nothing live uses and nothing inherits from."""
    policy.require(actor, "manage", Place(environment=environment))
    with writing():
        lock_composition()
        environment = locked(environment)
        _refuse_live(
            Live.objects.filter(configuration__environment=environment, version__retired=False)
        )
        _refuse_secrets(Secret.objects.present().filter(environment=environment))
        if environment.is_default:
            raise invalid("", "default", "It is the default: make another one the default first.")
        if environment.children.filter(deleted_at__isnull=True).exists():
            raise invalid("", "in_use", "Other environments inherit from it: move them first.")
        environment.deleted_at = clock.now()
        _save(environment, actor, "environment.deleted")


def _fill_service(service: Service, members: dict[str, Any]) -> None:
    refuse_unknown(members, SERVICE_MEMBERS)
    if "name" in members:
        service.name = check_text("name", members["name"], 200)
    if "description" in members:
        service.description = check_text("description", members["description"], 10_000)
    if "labels" in members:
        service.labels = _labels(members["labels"])
    if "owner" in members:
        service.owner = _owner(members["owner"])


def _owner(name: object) -> Group | None:
    if name is None or name == "":
        return None
    group = find_group(str(name))
    if group is None:
        raise invalid("/owner", "owner", "There is no such group.")
    return group


def _labels(labels: object) -> dict[str, str]:
    good = isinstance(labels, dict) and all(
        isinstance(text, str) and len(text) <= values.MAX_KEY_LENGTH for text in labels.values()
    )
    if not good or not isinstance(labels, dict) or len(labels) > MAX_LABELS:
        raise invalid("/labels", "labels", f"Labels are at most {MAX_LABELS} short texts by name.")
    values.check(labels)
    return labels


def _fill_environment(environment: Environment, members: dict[str, Any], actor: Actor) -> None:
    refuse_unknown(members, ENVIRONMENT_MEMBERS)
    if "name" in members:
        environment.name = check_text("name", members["name"], 200)
    if "rank" in members:
        environment.rank = _whole_number("rank", members["rank"], -32_768, 32_767)
    if "protected" in members:
        environment.is_protected = _flag("protected", members["protected"])
    if "parent" in members:
        environment.parent = _parent(environment, members["parent"], actor)
    approvals = members.get("required_approvals", 0)
    if _whole_number("required_approvals", approvals, 0, 100):
        raise invalid(
            "/required_approvals", "not_available", "Reviews are not available yet: use 0."
        )
    if "default" in members:
        _set_default(environment, _flag("default", members["default"]), actor)


def _set_default(environment: Environment, wanted: bool, actor: Actor) -> None:
    if wanted != environment.is_default:
        policy.require(actor, "manage", EVERYWHERE)
    if environment.is_default and not wanted:
        raise invalid("/default", "default", "Make another environment the default instead.")
    if wanted and not environment.is_default:
        Environment.objects.filter(is_default=True).update(is_default=False)
    environment.is_default = wanted


def _parent(environment: Environment, slug: object, actor: Actor) -> Environment | None:
    """The new parent. What stands in it flows down, so it needs ``manage`` there."""
    if slug is None or slug == "":
        return None
    parent = find_environment(str(slug))
    if parent is not None and parent.pk == environment.parent_id:
        return parent
    if parent is None or not policy.sees(actor, Place(environment=parent)):
        raise invalid("/parent", "parent", "There is no such environment.")
    if environment.pk and environment.pk in {parent.pk, *(each.pk for each in ancestors(parent))}:
        raise invalid("/parent", "cycle", "An environment may not inherit from itself.")
    policy.require(actor, "manage", Place(environment=parent))
    return parent


def _refuse_live(live: Any) -> None:
    users = [
        str(each.configuration)
        for each in live.select_related("configuration__service", "configuration__environment")[:20]
    ]
    if users:
        raise invalid("", "in_use", f"Still live: {', '.join(users)}. Retire them first.")


def _refuse_secrets(secrets: QuerySet[Secret]) -> None:
    """Secrets go on rotating, and nobody could reach them any more."""
    kept = secrets.select_related("service", "environment").order_by("pk")[:20]
    names = ", ".join(str(each) for each in kept)
    if names:
        raise invalid("", "in_use", f"Secrets are kept there: {names}. Delete them first.")


def _save(row: Service | Environment, actor: Actor, action: str) -> None:
    mark_history(row, actor)
    row.save()
    append([_event(action, row)], actor=actor)


def _event(action: str, row: Service | Environment) -> Event:
    kind = "service" if isinstance(row, Service) else "environment"
    return Event(action, f"{kind}:{row.slug}", {"name": row.name, **_what_matters(row)})


def _what_matters(row: Service | Environment) -> dict[str, Tree]:
    """The settings that say who is in charge, and what may happen without a second person."""
    if isinstance(row, Service):
        return {"owner": row.owner.name if row.owner else None}
    return {
        "parent": row.parent.slug if row.parent else None,
        "default": row.is_default,
        "protected": row.is_protected,
        "required_approvals": row.required_approvals,
    }


def _flag(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise invalid(f"/{name}", "type", "This is true or false.")
    return given


def _whole_number(name: str, given: object, least: int, most: int) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
        raise invalid(f"/{name}", "type", f"This is a whole number from {least} to {most}.")
    return given

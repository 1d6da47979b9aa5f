"""Making, changing and ending roles of one's own. Grants made of one follow it at once."""

from collections.abc import Iterable, Sequence

from django.db import IntegrityError

from apps.access import policy
from apps.access.applying import apply_grants
from apps.access.models import Grant, Role
from apps.access.policy import EVERYWHERE
from apps.access.roles import ROLES, VERBS
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug, check_text
from apps.core.transactions import writing
from apps.engine.errors import ConflictError, ForbiddenError, invalid, taken
from apps.engine.values import Tree

LONGEST_NAME = 32
MAX_ROLES = 200


def put_role(
    *, actor: Actor, name: str, verbs: Sequence[str], description: str = ""
) -> tuple[Role, bool]:
    """Make a role, or change the verbs and the description of the one of that name.

    Needs ``manage`` everywhere, and every verb that the role gets. Every grant made of it gives
    the new verbs, and no others, from the same act on. Raises :class:`InvalidError` for a name
    that is built in, a verb, or another role's in other case, and for no or unknown verbs.
    Returns whether it is new, too.
    """
    policy.require(actor, "manage", EVERYWHERE)
    _check_name(name)
    check_text("description", description, 500)
    wanted = _checked(verbs)
    with writing():
        role = Role.objects.select_for_update().filter(slug__lower=name.lower()).first()
        if role is not None and role.slug != name:
            raise taken("/name", f"There is the role '{role.slug}', of the same letters.")
        before: list[str] = role.verbs if role else []
        _require_held(actor, [each for each in wanted if each not in before])
        if role is None:
            role = _new(actor, name)
        elif (role.verbs, role.description) == (wanted, description):
            return role, False
        made = role.pk is None
        role.verbs, role.description = wanted, description
        mark_history(role, actor)
        _save(role)
        if not made and before != wanted:
            apply_grants(Grant.objects.filter(role=role.slug))
        append([_event("role.created" if made else "role.updated", role)], actor=actor)
    return role, made


def _save(role: Role) -> None:
    try:
        role.save()
    except IntegrityError as error:
        raise ConflictError("Somebody made this role at the same time: send it again.") from error


def delete_role(*, actor: Actor, role: Role) -> None:
    """End a role that nobody has. Needs ``manage`` everywhere.

    Raises :class:`ConflictError` (code ``in_use``) while grants are made of it.
    """
    policy.require(actor, "manage", EVERYWHERE)
    with writing():
        locked = Role.objects.select_for_update().get(pk=role.pk)
        count = Grant.objects.filter(role=locked.slug).count()
        if count:
            raise ConflictError(
                f"{count} grant{'s are' if count > 1 else ' is'} made of this role: take "
                f"{'them' if count > 1 else 'it'} back first.",
                code="in_use",
                grants=count,
            )
        event = _event("role.deleted", locked)
        mark_history(locked, actor)
        locked.delete()
        append([event], actor=actor)


def _new(actor: Actor, name: str) -> Role:
    if Role.objects.count() >= MAX_ROLES:
        raise invalid("/name", "limit", f"There are at most {MAX_ROLES} roles of one's own.")
    return Role(slug=name, created_at=clock.now(), created_by=actor.name)


def _check_name(name: str) -> None:
    check_slug(name, reserved={*ROLES, *VERBS})
    if len(name) > LONGEST_NAME:
        raise invalid("/name", "length", f"A role's name has at most {LONGEST_NAME} characters.")


def _checked(verbs: Iterable[object]) -> list[str]:
    given = list(verbs)
    if not given or any(each not in VERBS for each in given):
        message = f"A role has one or more of these verbs: {', '.join(VERBS)}."
        raise invalid("/verbs", "verb", message)
    return [each for each in VERBS if each in given]


def _require_held(actor: Actor, verbs: Iterable[str]) -> None:
    """Refuse a role that could do more than ``actor``: it would be a way around grants."""
    for each in verbs:
        if not policy.allowed_free(actor, each, EVERYWHERE):
            raise ForbiddenError(
                f"Nobody puts into a role what he does not have everywhere: '{each}'.", right=each
            )


def _event(action: str, role: Role) -> Event:
    verbs: list[Tree] = list(role.verbs)
    return Event(action, f"role:{role.slug}", {"verbs": verbs, "description": role.description})

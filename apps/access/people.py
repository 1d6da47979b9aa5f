"""People and their groups: log-ins, passwords, who is in which group."""

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import models

from apps.access import attempts, policy
from apps.access.policy import EVERYWHERE
from apps.access.services import require_all_of
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor
from apps.core.models import User
from apps.core.names import check_slug, check_text
from apps.core.transactions import writing
from apps.engine.errors import ForbiddenError, InvalidError, Problem, invalid, taken
from apps.engine.values import Tree


def create_group(*, actor: Actor, name: str) -> Group:
    """Make a group, or give back the one of that name. Needs ``manage`` everywhere."""
    policy.require(actor, "manage", EVERYWHERE)
    if not check_text("name", name, 150).strip():
        raise invalid("/name", "required", "A group needs a name.")
    with writing():
        group, created = Group.objects.get_or_create(name=name)
        if created:
            append([Event("group.created", f"group:{name}", {})], actor=actor)
    return group


def create_person(
    *,
    actor: Actor,
    username: str,
    email: str = "",
    name: str = "",
    password: str | None = None,
    identity: tuple[str, str] | None = None,
) -> User:
    """Make a person's login; without a password nobody can log in with it yet.

    ``identity`` is issuer and subject of the OpenID Connect identity that it is for.
    """
    policy.require(actor, "manage", EVERYWHERE)
    check_slug(username)
    first, _space, last = check_text("name", name, 150).partition(" ")
    check_text("email", email, 254)
    with writing():
        if User.objects.filter(username__iexact=username).exists():
            raise taken("/username", "This user name is taken.")
        user = User(username=username, email=email, first_name=first, last_name=last, is_staff=True)
        if password is not None:
            _check_password(password, user)
        user.set_password(password)
        user.save()
        data: dict[str, Tree] = {}
        if identity is not None:
            issuer, subject = identity
            data = {"issuer": issuer, "subject": subject}
            user.identities.create(issuer=issuer, subject=subject, created_at=clock.now())
        append([Event("user.created", f"user:{username}", data)], actor=actor)
    return user


def create_superuser(
    *, actor: Actor, username: str, email: str = "", password: str | None = None
) -> User:
    """Make a person who may do everything. Only a superuser may."""
    with writing():
        user = create_person(actor=actor, username=username, email=email, password=password)
        return update_person(actor=actor, user=user, is_active=True, is_superuser=True)


def rename_person(*, actor: Actor, user: User, email: str, name: str) -> User:
    """Change a person's address and name; only a superuser may, for others than himself."""
    if actor.user_id != user.pk:
        _require_superuser(actor)
    user.first_name, _space, user.last_name = check_text("name", name, 150).partition(" ")
    user.email = check_text("email", email, 254)
    with writing():
        user.save(update_fields=["first_name", "last_name", "email"])
        append([Event("user.renamed", f"user:{user.username}", {})], actor=actor)
    return user


def update_person(*, actor: Actor, user: User, is_active: bool, is_superuser: bool) -> User:
    """Activate or deactivate a login, make it superuser or not. Only a superuser may."""
    _require_superuser(actor)
    with writing():
        before = User.objects.select_for_update().get(pk=user.pk)
        was: Tree = {"active": before.is_active, "superuser": before.is_superuser}
        user.is_active, user.is_superuser = is_active, is_superuser
        if not is_active:
            user.sessions_since = clock.now()
        user.save(update_fields=["is_active", "is_superuser", "sessions_since"])
        data: dict[str, Tree] = {"active": is_active, "superuser": is_superuser, "was": was}
        append([Event("user.updated", f"user:{user.username}", data)], actor=actor)
    return user


def set_password(*, actor: Actor, user: User, password: str) -> None:
    """Give a person a new password. Anybody for himself, else only a superuser."""
    if actor.user_id != user.pk:
        _require_superuser(actor)
    _check_password(password, user)
    with writing():
        user.set_password(password)
        user.save(update_fields=["password"])
        attempts.clear(user.username)
        append([Event("user.password", f"user:{user.username}", {})], actor=actor)


def set_groups(*, actor: Actor, user: User, groups: list[Group]) -> None:
    """Put a person into exactly these groups.

    Needs ``manage`` everywhere, and all that the groups he is new in hold. No change is no act.
    """
    policy.require(actor, "manage", EVERYWHERE)
    added = [group for group in groups if group not in user.groups.all()]
    require_all_of(actor, models.Q(group__in=added))
    with writing():
        was: Tree = sorted(user.groups.values_list("name", flat=True))
        names: Tree = sorted(group.name for group in groups)
        if names == was:
            return
        user.groups.set(groups)
        append(
            [Event("user.groups", f"user:{user.username}", {"groups": names, "was": was})],
            actor=actor,
        )


def change_member(*, actor: Actor, user: User, group: Group, is_in: bool) -> None:
    """Put a person into a group or take him out of it, as :func:`set_groups` does; his other groups
    stay.
    """
    with writing():
        User.objects.select_for_update().get(pk=user.pk)
        others = [each for each in user.groups.all() if each != group]
        set_groups(actor=actor, user=user, groups=[*others, group] if is_in else others)


def _check_password(password: str, user: User) -> None:
    """Raise :class:`InvalidError` for a password that the settings call weak."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        problems = [Problem("/password", "password", text) for text in error.messages]
        raise InvalidError("The password is too weak.", problems) from error


def _require_superuser(actor: Actor) -> None:
    if not actor.is_superuser:
        raise ForbiddenError("Only a superuser may do this.", right="superuser")

"""Changing who may do what. Every function writes its audit event in the same transaction."""

import secrets
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import models
from guardian.shortcuts import assign_perm, remove_perm

from apps.access import policy
from apps.access.models import Grant, ServiceAccount, Token
from apps.access.policy import EVERYWHERE, Place
from apps.access.roles import ROLES, VERBS
from apps.access.selectors import (
    CACHED_ACTORS,
    TOKEN_PREFIX,
    digest_of,
    find_holder,
    holder_name,
)
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.models import User
from apps.core.names import check_slug, check_text
from apps.core.transactions import writing
from apps.engine.errors import ForbiddenError, InvalidError, Problem, invalid
from apps.engine.values import Tree
from apps.registry.models import Configuration, Environment, Service

TOKEN_BYTES = 32
SHOWN_PREFIX = 12
_noted: dict[str, datetime] = {}


def create_account(
    *, actor: Actor, slug: str, description: str = "", environment: Environment | None = None
) -> ServiceAccount:
    """Make a service account and its login. Needs ``manage`` in its environment, else everywhere."""
    policy.require(actor, "manage", Place(environment=environment))
    check_slug(slug)
    check_text("description", description, 10_000)
    with writing():
        if ServiceAccount.objects.filter(slug__lower=slug.lower()).exists():
            raise invalid("/slug", "taken", "This name is taken, or was and is not used again.")
        user = User(username=f"service-account:{slug}")
        user.set_unusable_password()
        user.save()
        account = ServiceAccount(
            slug=slug,
            description=description,
            environment=environment,
            user=user,
            created_at=clock.now(),
        )
        mark_history(account, actor)
        account.save()
        append([_event("account.created", account)], actor=actor)
    return account


def update_account(
    *,
    actor: Actor,
    account: ServiceAccount,
    description: str | None = None,
    environment: Environment | None = None,
    clear_environment: bool = False,
) -> ServiceAccount:
    """Change an account's description or its own environment. Needs ``manage`` of both places."""
    policy.require(actor, "manage", Place(environment=account.environment))
    if environment is not None or clear_environment:
        policy.require(actor, "manage", Place(environment=environment))
    with writing():
        if description is not None:
            account.description = check_text("description", description, 10_000)
        if environment is not None or clear_environment:
            account.environment = environment
        mark_history(account, actor)
        account.save()
        append([_event("account.updated", account)], actor=actor)
    return account


def delete_account(*, actor: Actor, account: ServiceAccount) -> None:
    """Hide the account and end its tokens at once. The name is never used again."""
    policy.require(actor, "manage", Place(environment=account.environment))
    with writing():
        now = clock.now()
        account.deleted_at = now
        mark_history(account, actor)
        account.save()
        User.objects.filter(pk=account.user_id).update(is_active=False)
        account.tokens.filter(withdrawn_at__isnull=True).update(withdrawn_at=now)
        append([_event("account.deleted", account)], actor=actor)


def create_token(
    *, actor: Actor, account: ServiceAccount, name: str = "", expires_at: datetime | None = None
) -> tuple[Token, str]:
    """Make a token. Returns the row and the token itself, which is shown once and kept nowhere."""
    policy.require(actor, "manage", Place(environment=account.environment))
    _require_all_of(actor, account)
    check_text("name", name, 200)
    if expires_at is not None and expires_at <= clock.now():
        raise invalid("/expires_at", "past", "The expiry is in the past.")
    raw = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with writing():
        token = Token(
            account=account,
            name=name,
            prefix=raw[:SHOWN_PREFIX],
            digest=digest_of(raw),
            created_at=clock.now(),
            created_by=actor.name,
            expires_at=expires_at,
        )
        mark_history(token, actor)
        token.save()
        append([_event("token.created", account, token=token.prefix)], actor=actor)
    return token, raw


def withdraw_token(*, actor: Actor, token: Token) -> None:
    """End a token. Withdrawing one twice changes nothing."""
    policy.require(actor, "manage", Place(environment=token.account.environment))
    if token.withdrawn_at is not None:
        return
    with writing():
        token.withdrawn_at = clock.now()
        mark_history(token, actor)
        token.save()
        append([_event("token.withdrawn", token.account, token=token.prefix)], actor=actor)


def _require_all_of(actor: Actor, account: ServiceAccount) -> None:
    """Refuse a token that could do more than ``actor`` himself: it would be a way around grants."""
    held = models.Q(user=account.user) | models.Q(group__user=account.user)
    for each in Grant.objects.filter(held).select_related("service", "environment"):
        for verb in _verbs(each.role, each.verb):
            policy.require(actor, verb, Place(each.service, each.environment))


def note_use(actor: Actor) -> None:
    """Remember that the actor's token was used, at most once a minute."""
    if actor.token_id is None:
        return
    now = clock.now()
    noted = _noted.get(actor.token_id) or actor.last_used_at
    if noted is not None and now - noted < clock.MINUTE:
        return
    if len(_noted) >= CACHED_ACTORS:
        _noted.clear()
    _noted[actor.token_id] = now
    Token.objects.filter(pk=actor.token_id).update(last_used_at=now)


def grant(
    *,
    actor: Actor,
    to: str,
    role: str = "",
    verb: str = "",
    service: Service | None = None,
    environment: Environment | None = None,
) -> Grant:
    """Give a role or a verb at a place. Needs ``manage`` there and every verb that is given.

    Giving the same thing again gives back the grant that exists. Raises
    :class:`InvalidError` for an unknown holder, role or verb.
    """
    place = Place(service, environment)
    policy.require(actor, "manage", place)
    for each in _verbs(role, verb):
        if not policy.allowed(actor, each, place):
            raise ForbiddenError(f"Nobody grants what he does not have: '{each}'.", right=each)
    holder = find_holder(to)
    if holder is None:
        raise invalid("/to", "holder", "There is no such user, group or service account.")
    who = {"group": holder} if isinstance(holder, Group) else {"user": holder}
    scope: dict[str, Any] = {"service": service, "environment": environment}
    with writing():
        existing = Grant.objects.filter(role=role, verb=verb, **who, **scope).first()
        if existing is not None:
            return existing
        if service is not None and environment is not None:
            Configuration.objects.get_or_create(**scope)
        made = Grant(
            role=role,
            verb=verb,
            created_at=clock.now(),
            created_by=actor.name,
            **who,
            **scope,
        )
        mark_history(made, actor)
        made.save()
        _apply(holder, place)
        append([_grant_event("grant.given", made)], actor=actor)
    return made


def withdraw_grant(*, actor: Actor, grant: Grant) -> None:
    """Take a grant back. Other grants of the same holder stay as they are."""
    place = Place(grant.service, grant.environment)
    policy.require(actor, "manage", place)
    holder = grant.group or grant.user
    if holder is None:
        return
    with writing():
        event = _grant_event("grant.withdrawn", grant)
        mark_history(grant, actor)
        grant.delete()
        _apply(holder, place)
        append([event], actor=actor)


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
    *, actor: Actor, username: str, email: str = "", name: str = "", password: str | None = None
) -> User:
    """Make a person's login; without a password nobody can log in with it yet."""
    policy.require(actor, "manage", EVERYWHERE)
    check_slug(username)
    first, _space, last = check_text("name", name, 150).partition(" ")
    check_text("email", email, 254)
    with writing():
        if User.objects.filter(username__iexact=username).exists():
            raise invalid("/username", "taken", "This user name is taken.")
        user = User(username=username, email=email, first_name=first, last_name=last, is_staff=True)
        if password is not None:
            _check_password(password, user)
        user.set_password(password)
        user.save()
        append([Event("user.created", f"user:{username}", {})], actor=actor)
    return user


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
        user.is_active, user.is_superuser = is_active, is_superuser
        user.save(update_fields=["is_active", "is_superuser"])
        data = {"active": is_active, "superuser": is_superuser}
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
        append([Event("user.password", f"user:{user.username}", {})], actor=actor)


def set_groups(*, actor: Actor, user: User, groups: list[Group]) -> None:
    """Put a person into exactly these groups. Needs ``manage`` everywhere."""
    policy.require(actor, "manage", EVERYWHERE)
    with writing():
        user.groups.set(groups)
        names: Tree = sorted(group.name for group in groups)
        append([Event("user.groups", f"user:{user.username}", {"groups": names})], actor=actor)


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


def _verbs(role: str, verb: str) -> tuple[str, ...]:
    if bool(role) == bool(verb):
        raise invalid("/role", "role_or_verb", "Give either a role or a verb.")
    if role and role not in ROLES:
        raise invalid("/role", "role", f"There is no such role: use one of {', '.join(ROLES)}.")
    if verb and verb not in VERBS:
        raise invalid("/verb", "verb", f"There is no such verb: use one of {', '.join(VERBS)}.")
    return ROLES[role] if role else (verb,)


def _apply(holder: User | Group, place: Place) -> None:
    """Make the guardian rows at exactly this place what the holder's grants there say."""
    who = {"group": holder} if isinstance(holder, Group) else {"user": holder}
    grants = Grant.objects.filter(service=place.service, environment=place.environment, **who)
    wanted = {verb for each in grants for verb in _verbs(each.role, each.verb)}
    target = _guarded_object(place)
    if target is None:
        held = holder.permissions if isinstance(holder, Group) else holder.user_permissions
        held.set(
            Permission.objects.filter(
                content_type__app_label="registry",
                content_type__model="configuration",
                codename__in=wanted,
            )
        )
        return
    for verb in VERBS:
        change = assign_perm if verb in wanted else remove_perm
        change(verb, holder, target)


def _guarded_object(place: Place) -> models.Model | None:
    if place.service is not None and place.environment is not None:
        return Configuration.objects.get(service=place.service, environment=place.environment)
    return place.service or place.environment


def _event(action: str, account: ServiceAccount, **data: str) -> Event:
    return Event(action, f"service-account:{account.slug}", data)


def _grant_event(action: str, grant: Grant) -> Event:
    place = Place(grant.service, grant.environment)
    data = {"what": grant.role or grant.verb, "on": str(place)}
    return Event(action, holder_name(grant), data)

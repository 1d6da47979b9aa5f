"""Changing who may do what. Every function writes its audit event in the same transaction."""

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import OperationalError, models, transaction

from apps.access import policy
from apps.access.applying import apply_grants
from apps.access.events import account_event, grant_event, token_event
from apps.access.models import Grant, KeyRule, Role, ServiceAccount, Token
from apps.access.policy import EVERYWHERE, Place
from apps.access.rights import CACHED_ACTORS
from apps.access.roles import ROLES, verbs_of
from apps.access.selectors import TOKEN_PREFIX, digest_of, find_holder
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.models import User
from apps.core.names import check_slug, check_text
from apps.core.transactions import locked, writing
from apps.engine.errors import ForbiddenError, invalid, taken
from apps.registry.models import Configuration, Environment

TOKEN_BYTES = 32
SHOWN_PREFIX = 12

logger = logging.getLogger(__name__)
_noted: dict[str, datetime] = {}


def create_account(
    *, actor: Actor, slug: str, description: str = "", environment: Environment | None = None
) -> ServiceAccount:
    """Make a service account and its login. Needs ``manage`` in its environment, else everywhere."""
    policy.require(actor, "manage", Place(environment=environment))
    with writing():
        account = write_account(actor, slug, description, environment)
        append([account_event("account.created", account)], actor=actor)
    return account


def write_account(
    actor: Actor, slug: str, description: str, environment: Environment | None
) -> ServiceAccount:
    """Write an account inside the caller's transaction, who asks for the rights and audits."""
    check_slug(slug)
    check_text("description", description, 10_000)
    if ServiceAccount.objects.filter(slug__lower=slug.lower()).exists():
        raise taken("/slug", "This name is taken, or was and is not used again.")
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
        account = locked(account)
        if description is not None:
            account.description = check_text("description", description, 10_000)
        if environment is not None or clear_environment:
            account.environment = environment
        mark_history(account, actor)
        account.save()
        append([account_event("account.updated", account)], actor=actor)
    return account


def delete_account(*, actor: Actor, account: ServiceAccount) -> None:
    """Hide the account and end its tokens at once. The name is never used again."""
    policy.require(actor, "manage", Place(environment=account.environment))
    with writing():
        account = locked(account)
        now = clock.now()
        account.deleted_at = now
        mark_history(account, actor)
        account.save()
        User.objects.filter(pk=account.user_id).update(is_active=False)
        events = [account_event("account.deleted", account)]
        for token in account.tokens.filter(withdrawn_at__isnull=True):
            token.withdrawn_at = now
            mark_history(token, actor)
            token.save()
            events.append(token_event("token.withdrawn", token))
        append(events, actor=actor)


def create_token(
    *, actor: Actor, account: ServiceAccount, name: str = "", expires_at: datetime | None = None
) -> tuple[Token, str]:
    """Make a token. Returns the row and the token itself, which is shown once and kept nowhere."""
    require_token_right(actor, account)
    check_text("name", name, 200)
    if expires_at is not None and expires_at <= clock.now():
        raise invalid("/expires_at", "past", "The expiry is in the past.")
    with writing():
        token, raw = issue_token(actor, account, name, expires_at)
        append([token_event("token.created", token)], actor=actor)
    return token, raw


def require_token_right(actor: Actor, account: ServiceAccount) -> None:
    """Raise unless the actor manages the account, and may himself whatever a token of it may."""
    policy.require(actor, "manage", Place(environment=account.environment))
    require_all_of(actor, models.Q(user=account.user) | models.Q(group__user=account.user))


def issue_token(
    actor: Actor, account: ServiceAccount, name: str, expires_at: datetime | None
) -> tuple[Token, str]:
    """Write a token inside the caller's transaction, who asks for the rights and audits."""
    raw = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
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
        append([token_event("token.withdrawn", token)], actor=actor)


def require_all_of(actor: Actor, held: models.Q) -> None:
    """Refuse handing on grants that ``actor`` does not hold himself: a way around :func:`grant`."""
    grants = Grant.objects.filter(held).select_related("service", "environment", "key_rule")
    for each in grants:
        for verb in verbs_of(each.role, each.verb):
            if each.key_rule is not None:
                policy.require_rule(actor, verb, each.key_rule)
            else:
                policy.require_free(actor, verb, Place(each.service, each.environment))


def note_use(actor: Actor) -> None:
    """Remember that the actor's token was used, at most once a minute whichever process it came to.

    What it came for does not fail where that cannot be written now: the next use tries again.
    """
    if actor.token_id is None:
        return
    now = clock.now()
    noted = _noted.get(actor.token_id) or actor.last_used_at
    if noted is not None and now - noted < clock.MINUTE:
        return
    long_ago = models.Q(last_used_at__isnull=True) | models.Q(last_used_at__lte=now - clock.MINUTE)
    try:
        with transaction.atomic():
            Token.objects.filter(long_ago, pk=actor.token_id).update(last_used_at=now)
    except OperationalError as error:
        logger.warning("The use of a token was not noted: %s", error)
        return
    if len(_noted) >= CACHED_ACTORS:
        _noted.clear()
    _noted[actor.token_id] = now


def grant(
    *,
    actor: Actor,
    to: str,
    role: str = "",
    verb: str = "",
    on: Place | KeyRule = EVERYWHERE,
    expires_at: datetime | None = None,
) -> Grant:
    """Give a role or a verb at a place, or on the keys of a rule, for good or until a time.

    Needs ``manage`` there (for a rule: in its scope, or ``secure``) and every verb that is given.
    Giving the same thing again gives back the grant that exists. Raises :class:`InvalidError` for
    an unknown holder, role or verb.
    """
    given = grant_each(actor=actor, to=to, what=[(role, verb)], on=on, expires_at=expires_at)
    return given[0]


def grant_each(
    *,
    actor: Actor,
    to: str,
    what: Sequence[tuple[str, str]],
    on: Place | KeyRule = EVERYWHERE,
    expires_at: datetime | None = None,
) -> list[Grant]:
    """Several at once, all or none, in one act: ``what`` are pairs of role and verb, one empty."""
    require_grantable(actor, _all_verbs(what), on)
    if expires_at is not None and expires_at <= clock.now():
        raise invalid("/expires_at", "past", "The end is in the past.")
    holder = find_holder(to)
    if holder is None:
        raise invalid("/to", "holder", "There is no such user, group or service account.")
    with writing():
        if _hold_roles(what):
            require_grantable(actor, _all_verbs(what), on)
        given, events = write_grants(actor, holder, what, on, expires_at)
        if events:
            append(events, actor=actor)
    return given


def write_grants(
    actor: Actor,
    holder: User | Group,
    what: Sequence[tuple[str, str]],
    on: Place | KeyRule,
    expires_at: datetime | None = None,
) -> tuple[list[Grant], list[Event]]:
    """Write the missing ones inside the caller's transaction, who asks for the rights.

    Gives all of them, and the events of the new ones, for the caller to append.
    """
    place, key_rule = (EVERYWHERE, on) if isinstance(on, KeyRule) else (on, None)
    who = {"group": holder} if isinstance(holder, Group) else {"user": holder}
    scope: dict[str, Any] = {"service": place.service, "environment": place.environment}
    same = {"key_rule": key_rule, "expires_at": expires_at, **who, **scope}
    given, events = [], []
    if place.service is not None and place.environment is not None:
        Configuration.objects.get_or_create(**scope)
    for role, verb in what:
        row = Grant.objects.filter(role=role, verb=verb, **same).first()
        if row is None:
            now, name = clock.now(), actor.name
            row = Grant(role=role, verb=verb, created_at=now, created_by=name, **same)
            mark_history(row, actor)
            row.save()
            events.append(grant_event("grant.given", row))
        given.append(row)
    if events:
        apply_grants(given)
    return given, events


def _all_verbs(what: Sequence[tuple[str, str]]) -> list[str]:
    if not what:
        raise invalid("/role", "role_or_verb", "Give a role or a verb.")
    return [each for role, verb in what for each in verbs_of(role, verb)]


def _hold_roles(what: Sequence[tuple[str, str]]) -> bool:
    """Keep the roles of one's own as they are until the transaction ends; whether there are any."""
    own = sorted({role for role, _verb in what} - {"", *ROLES})
    if own:
        list(Role.objects.select_for_update().filter(slug__in=own).order_by("pk"))
    return bool(own)


def require_grantable(actor: Actor, verbs: Sequence[str], on: Place | KeyRule) -> None:
    """Refuse giving what the actor does not have, or where he may not give anything."""
    if isinstance(on, KeyRule):
        policy.require_below(actor, "secure", Place(on.service, on.environment))
        for each in verbs:
            policy.require_rule(actor, each, on)
        return
    policy.require(actor, "manage", on)
    for each in verbs:
        if not policy.allowed_free(actor, each, on):
            raise ForbiddenError(f"Nobody grants what he does not have: '{each}'.", right=each)


def withdraw_grant(*, actor: Actor, grant: Grant) -> None:
    """Take a grant back. Other grants of the same holder stay as they are."""
    place, rule = Place(grant.service, grant.environment), grant.key_rule
    if rule is None:
        policy.require(actor, "manage", place)
    else:
        policy.require(actor, "secure", Place(rule.service, rule.environment))
    with writing():
        event = grant_event("grant.withdrawn", grant)
        mark_history(grant, actor)
        grant.delete()
        apply_grants([grant])
        append([event], actor=actor)


def end_grants(*, actor: Actor) -> int:
    """Take back the grants whose time is over, which give nothing any more; gives their number."""
    now = clock.now()
    with writing():
        ended = list(Grant.objects.filter(expires_at__lte=now).select_related("user", "group"))
        events = []
        for each in ended:
            events.append(grant_event("grant.ended", each))
            mark_history(each, actor)
            each.delete()
        if events:
            apply_grants(ended)
            append(events, actor=actor)
    return len(ended)

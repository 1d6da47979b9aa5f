"""Reading logins, grants and key rules."""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db.models import Count, Q, QuerySet

from apps.access import factors, rights
from apps.access.models import Grant, KeyRule, ServiceAccount, Token
from apps.access.rights import CACHED_ACTORS, generation, rights_of
from apps.core.actor import Actor, system
from apps.core.models import User
from apps.engine.errors import (
    NOTHING_HERE,
    NotFoundError,
    SecondFactorRequiredError,
    UnauthenticatedError,
)
from apps.registry.models import Environment, Service

TOKEN_PREFIX = "csk_"  # noqa: S105 - the public prefix of every token
PRIVILEGED_VERBS = ("manage", "reveal", "secure")

_authenticated: dict[str, Actor] = {}


def forget() -> None:
    """Drop what is remembered of logins, rights and places; it is read again."""
    _authenticated.clear()
    rights.forget()


def digest_of(raw: str) -> str:
    """The SHA-256 (hex) under which a token is stored."""
    return hashlib.sha256(raw.encode()).hexdigest()


def authenticate_token(raw: str, *, now: datetime, address: str | None = None) -> Actor:
    """The service account that holds the token. Raises :class:`UnauthenticatedError`.

    Remembered until the access generation moves, as every end of a token makes it do.
    """
    refusal = UnauthenticatedError("The token is unknown, expired or withdrawn.")
    if not raw.startswith(TOKEN_PREFIX) or not raw.isascii():
        raise refusal
    digest, current = digest_of(raw), generation()
    actor = _authenticated.get(digest)
    if actor is None or actor.generation != current:
        actor = _find_token_holder(digest, current)
        if actor is None:
            raise refusal
        if len(_authenticated) >= CACHED_ACTORS:
            _authenticated.clear()
        _authenticated[digest] = actor
    if actor.expires_at is not None and actor.expires_at <= now:
        raise refusal
    return replace(actor, address=address)


def _find_token_holder(digest: str, current: int) -> Actor | None:
    token = _live_tokens().filter(digest=digest).first()
    return replace(_holder(token), generation=current) if token else None


def stand_in(token_id: str, *, now: datetime) -> Actor:
    """The service account whose token has that id, without the token: for what is asked ahead of him.

    Raises :class:`UnauthenticatedError` once the token has ended.
    """
    current = generation()
    actor = find_token_holder(token_id)
    if actor is None or (actor.expires_at is not None and actor.expires_at <= now):
        raise UnauthenticatedError("The token has ended.")
    return replace(actor, generation=current)


def find_token_holder(token_id: str, *, address: str | None = None) -> Actor | None:
    """The service account of a token that is known by its id; ``None`` once it has ended."""
    token = _live_tokens().filter(pk=token_id).first()
    return replace(_holder(token), address=address) if token else None


def _live_tokens() -> QuerySet[Token]:
    return Token.objects.select_related("account__environment").filter(
        withdrawn_at__isnull=True, account__deleted_at__isnull=True, account__user__is_active=True
    )


def _holder(token: Token) -> Actor:
    account = token.account
    return Actor(
        name=f"service-account:{account.slug}",
        user_id=account.user_id,
        environment=account.environment.slug if account.environment else None,
        account_id=account.pk,
        token_id=str(token.pk),
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )


def actor_of_user(user: User, *, address: str | None = None) -> Actor:
    """The person who is logged in. Raises :class:`UnauthenticatedError` when deactivated, and
    :class:`SecondFactorRequiredError` when the settings ask for a factor that is not enrolled.
    """
    actor = person(user, address=address)
    if factors.missing(user, lambda: is_privileged(actor)):
        raise SecondFactorRequiredError("Enrol a second factor first, on the portal's pages.")
    return actor


def is_privileged(actor: Actor) -> bool:
    """Whether the actor may give rights or read secrets somewhere: ``privileged`` in settings."""
    if actor.is_superuser:
        return True
    rights = rights_of(actor)
    return any(
        rights.holds_anywhere(verb) or any(held == verb for held, _rule in rights.held)
        for verb in PRIVILEGED_VERBS
    )


def person(user: User, *, address: str | None = None) -> Actor:
    """A person as an actor, whatever he has enrolled: for his own log-in and factors alone."""
    if not user.is_active:
        raise UnauthenticatedError("This login is deactivated.")
    return Actor(
        name=f"user:{user.get_username()}",
        user_id=user.pk,
        is_superuser=user.is_superuser,
        address=address,
        login=user.get_session_auth_hash(),
    )


def still_valid(actor: Actor, *, now: datetime) -> Actor | None:
    """The actor read afresh, or ``None`` when the login or token has ended: for open streams.

    Raises :class:`HeldError` while rights are held: a signed ticket may be older than a restore.
    """
    generation()
    if actor.token_id is not None:
        valid = (
            Token.objects.filter(pk=actor.token_id, withdrawn_at__isnull=True)
            .filter(account__deleted_at__isnull=True, account__user__is_active=True)
            .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
            .exists()
        )
        return actor if valid else None
    user = User.objects.filter(pk=actor.user_id or 0, is_active=True).first()
    if user is None or actor.login not in (None, user.get_session_auth_hash()):
        return None
    if actor.expires_at is not None and actor.expires_at <= now:
        return None
    if actor.session is not None and not Session.objects.filter(pk=actor.session).exists():
        return None
    try:
        person = actor_of_user(user, address=actor.address)
    except SecondFactorRequiredError:
        return None
    return replace(person, expires_at=actor.expires_at, session=actor.session)


def get_account(slug: str) -> ServiceAccount:
    """The service account of that name. Raises :class:`NotFoundError`."""
    found = ServiceAccount.objects.named(slug).select_related("environment", "user").first()
    if found is None:
        raise NotFoundError("There is no such service account.")
    return found


def list_accounts() -> QuerySet[ServiceAccount]:
    """Every service account that was not deleted, by name."""
    return ServiceAccount.objects.present().select_related("environment", "user")


def list_accounts_of(actor: Actor) -> QuerySet[ServiceAccount]:
    """The accounts whose environment the actor manages or audits; without one: everywhere."""
    if actor.is_superuser:
        return list_accounts()
    held = {
        environment
        for verb, service, environment in rights_of(actor).triples
        if verb in ("manage", "audit") and service is None
    }
    return list_accounts() if None in held else list_accounts().filter(environment__in=held)


def count_live_tokens(
    accounts: QuerySet[ServiceAccount], *, now: datetime
) -> QuerySet[ServiceAccount]:
    """The accounts, each with ``live_tokens``: how many are neither withdrawn nor over at ``now``."""
    lasting = Q(tokens__expires_at__isnull=True) | Q(tokens__expires_at__gt=now)
    live = Q(tokens__withdrawn_at__isnull=True) & lasting
    return accounts.annotate(live_tokens=Count("tokens", filter=live))


def list_tokens(account: ServiceAccount) -> QuerySet[Token]:
    """The account's tokens, newest first, withdrawn ones too."""
    return account.tokens.all()


def list_tokens_of(accounts: Iterable[int]) -> QuerySet[Token]:
    """The tokens of several accounts, likewise."""
    return Token.objects.filter(account__in=accounts)


def get_token(account: ServiceAccount, token_id: str) -> Token:
    """One token of the account. Raises :class:`NotFoundError`."""
    try:
        key = uuid.UUID(token_id)
    except ValueError:
        raise NotFoundError("There is no such token.") from None
    found = account.tokens.filter(pk=key).first()
    if found is None:
        raise NotFoundError("There is no such token.")
    return found


def find_token(token_id: str) -> Token | None:
    """A token by its id, with its account; ``None`` when there is none."""
    try:
        key = uuid.UUID(token_id)
    except ValueError:
        return None
    rows = Token.objects.select_related("account__environment").filter(pk=key)
    return rows.filter(account__deleted_at__isnull=True).first()


def list_grants() -> QuerySet[Grant]:
    """Every grant, with who has it and where."""
    return Grant.objects.select_related(
        "user__service_account",
        "group",
        "service",
        "environment",
        "key_rule__service",
        "key_rule__environment",
    ).order_by("pk")


def list_grants_on(service: Service | None, environment: Environment | None) -> QuerySet[Grant]:
    """The grants that decide at a place: on itself, its service, its environment, everywhere."""
    return (
        list_grants()
        .filter(
            key_rule__isnull=True,
        )
        .filter(
            Q(service__isnull=True) | Q(service=service),
            Q(environment__isnull=True) | Q(environment=environment),
        )
    )


def list_grants_within(service: Service | None, environment: Environment | None) -> QuerySet[Grant]:
    """The grants at a place and everywhere below it, those on key rules too."""
    rows = list_grants()
    if service is not None:
        rows = rows.filter(Q(service=service) | Q(key_rule__service=service))
    if environment is not None:
        rows = rows.filter(Q(environment=environment) | Q(key_rule__environment=environment))
    return rows


def list_key_rules() -> QuerySet[KeyRule]:
    """Every key rule, oldest first."""
    return KeyRule.objects.select_related("service", "environment").order_by("pk")


def get_key_rule(pk: int) -> KeyRule:
    """One key rule. Raises :class:`NotFoundError`."""
    found = list_key_rules().filter(pk=pk).first()
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def get_grant(pk: int) -> Grant:
    """One grant. Raises :class:`NotFoundError`."""
    found = list_grants().filter(pk=pk).first()
    if found is None:
        raise NotFoundError("There is no such grant.")
    return found


def holder_name(grant: Grant) -> str:
    """``user:ada``, ``group:shop`` or ``service-account:checkout-app``."""
    if grant.group is not None:
        return f"group:{grant.group.name}"
    if grant.user is None:
        return ""
    account = getattr(grant.user, "service_account", None)
    return f"service-account:{account.slug}" if account else f"user:{grant.user.username}"


def find_holder(name: str) -> User | Group | None:
    """The user or group behind ``user:…``, ``group:…`` or ``service-account:…``."""
    kind, _colon, slug = name.partition(":")
    if kind == "user":
        return User.objects.filter(username=slug, service_account__isnull=True).first()
    if kind == "group":
        return Group.objects.filter(name=slug).first()
    if kind == "service-account":
        account = ServiceAccount.objects.named(slug).select_related("user").first()
        return account.user if account else None
    return None


def find_actor_named(name: str) -> Actor:
    """Who the ledger calls ``name``, with the rights of now, for what he had done later.

    Raises :class:`UnauthenticatedError` when the person or account is gone or deactivated, and
    :class:`HeldError` while rights are held.
    """
    generation()
    if name.startswith("system:"):
        return system(name.partition(":")[2])
    holder = find_holder(name)
    if not isinstance(holder, User) or not holder.is_active:
        raise UnauthenticatedError(f"'{name}', who had this done, is not there any more.")
    return Actor(name=name, user_id=holder.pk, is_superuser=holder.is_superuser)


def list_holders() -> list[str]:
    """Everybody a grant can be given to, by name."""
    people = User.objects.filter(service_account__isnull=True, is_active=True)
    return sorted(
        [
            *(f"user:{name}" for name in people.values_list("username", flat=True)),
            *(f"group:{name}" for name in Group.objects.values_list("name", flat=True)),
            *(f"service-account:{each.slug}" for each in list_accounts()),
        ]
    )

"""Service accounts and tokens."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse

from apps.access import policy, selectors, services
from apps.access.policy import Place
from apps.access.rotation import LONGEST_OVERLAP, OVERLAP, rotate_token
from apps.api.base import (
    ApiView,
    answer_json,
    paged,
    read_members,
    read_time,
    typed,
)
from apps.api.documentation import ACCOUNT, LIST, TOKEN, documented
from apps.core import clock
from apps.engine.errors import NotFoundError, invalid
from apps.engine.values import Tree
from apps.registry.selectors import find_environment, find_service

ACCOUNT_MEMBERS = ("slug", "description", "environment")
TOKEN_MEMBERS = ("name", "expires_at")
ROTATION_MEMBERS = ("overlap", "expires_at")


def present_account(row: Any) -> dict[str, Tree]:
    """A service account."""
    return {
        "slug": row.slug,
        "description": row.description,
        "environment": row.environment.slug if row.environment else None,
        "created_at": clock.rfc3339(row.created_at),
    }


def present_token(row: Any) -> dict[str, Tree]:
    """A token without itself."""
    times = ("created_at", "expires_at", "last_used_at", "withdrawn_at")
    found = {name: getattr(row, name) for name in times}
    return {
        "id": str(row.pk),
        "name": row.name,
        "prefix": row.prefix,
        "created_by": row.created_by,
        **{name: clock.rfc3339(moment) if moment else None for name, moment in found.items()},
    }


def list_known_accounts(actor: Any) -> Any:
    """The accounts whose environment the actor manages or audits, for who does so somewhere."""
    if not policy.holds_anywhere(actor, "audit"):
        policy.require_anywhere(actor, "manage")
    return selectors.list_accounts_of(actor)


class AccountsView(ApiView):
    """Service accounts."""

    @documented("List service accounts", LIST)
    def get(self, request: Any) -> HttpResponse:
        """A page of them, for those who manage or audit something."""
        return paged(request, list_known_accounts(self.actor), present_account)

    @documented("Make a service account", ACCOUNT)
    def post(self, request: Any) -> HttpResponse:
        """Make one, without any right yet."""
        return self.once(lambda: self._create(request), lambda: self._authorize(request))

    def _authorize(self, request: Any) -> None:
        environment = find_environment_of(self.actor, read_members(request, ACCOUNT_MEMBERS))
        policy.require(self.actor, "manage", Place(environment=environment))

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, ACCOUNT_MEMBERS)
        made = services.create_account(
            actor=self.actor,
            slug=members.get("slug"),  # type: ignore[arg-type] # checked by the service
            description=typed(members, "description", str, ""),
            environment=find_environment_of(self.actor, members),
        )
        headers = {"Location": f"{request.path}/{made.slug}"}
        return answer_json(present_account(made), 201, headers)


class AccountView(ApiView):
    """One service account."""

    @documented("Fetch a service account", ACCOUNT)
    def get(self, _request: Any, slug: str) -> HttpResponse:
        """Its members."""
        return answer_json(present_account(find_known_account(self.actor, slug)))

    @documented("Change a service account", ACCOUNT)
    def patch(self, request: Any, slug: str) -> HttpResponse:
        """Change its description or environment."""
        members = read_members(request, ACCOUNT_MEMBERS)
        row = self._find(slug)
        if members.get("slug", row.slug) != row.slug:
            raise invalid("/slug", "immutable", "A name does not change.")
        made = services.update_account(
            actor=self.actor,
            account=row,
            description=typed(members, "description", str),
            environment=find_environment_of(self.actor, members),
            clear_environment="environment" in members,
        )
        return answer_json(present_account(made))

    @documented("End a service account and its tokens", ACCOUNT)
    def delete(self, _request: Any, slug: str) -> HttpResponse:
        """Its name is never used again."""
        services.delete_account(actor=self.actor, account=self._find(slug))
        return HttpResponse(status=204)

    def _find(self, slug: str) -> Any:
        return find_managed_account(self.actor, slug)


def find_known_account(actor: Any, slug: str) -> Any:
    """The account, for those who manage or audit its environment; 404 for others."""
    row = selectors.get_account(slug)
    require_known(actor, row)
    return row


def find_managed_account(actor: Any, slug: str) -> Any:
    """The account, for those who manage its environment; 403 for its auditors, 404 for others."""
    row = find_known_account(actor, slug)
    policy.require(actor, "manage", Place(environment=row.environment))
    return row


def require_known(actor: Any, row: Any) -> None:
    """Raise :class:`NotFoundError` for who neither manages nor audits the account's environment."""
    place = Place(environment=row.environment)
    if not any(policy.allowed(actor, verb, place) for verb in ("manage", "audit")):
        raise NotFoundError("There is no such service account.")


class TokensView(ApiView):
    """The tokens of a service account."""

    @documented("List an account's tokens", LIST)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """A page of them, newest first; never the tokens themselves."""
        row = find_known_account(self.actor, slug)
        return paged(request, selectors.list_tokens(row), present_token)

    @documented("Make a token", TOKEN)
    def post(self, request: Any, slug: str) -> HttpResponse:
        """The answer holds ``token``, once."""
        return self.once(
            lambda: self._create(request, slug), lambda: find_managed_account(self.actor, slug)
        )

    def _create(self, request: Any, slug: str) -> HttpResponse:
        row = find_managed_account(self.actor, slug)
        members = read_members(request, TOKEN_MEMBERS)
        token, raw = services.create_token(
            actor=self.actor,
            account=row,
            name=typed(members, "name", str, ""),
            expires_at=read_time(members.get("expires_at"), "expires_at"),
        )
        return answer_token(token, raw, f"{request.path}/{token.pk}")


def answer_token(token: Any, raw: str, location: str) -> HttpResponse:
    """A new token, itself in this answer alone."""
    headers = {"Location": location, "Cache-Control": "no-store"}
    answer = answer_json({**present_token(token), "token": raw}, 201, headers)
    answer.credential_id = str(token.pk)  # type: ignore[attr-defined] # not kept for replays
    return answer


class TokenRotationView(ApiView):
    """Replacing a token without a moment in which none works."""

    @documented("Rotate a token", TOKEN)
    def post(self, request: Any, slug: str, token_id: str) -> HttpResponse:
        """The answer holds the new ``token``, once; the old one ends after ``overlap`` seconds."""
        return self.once(
            lambda: self._rotate(request, slug, token_id),
            lambda: find_managed_account(self.actor, slug),
        )

    def _rotate(self, request: Any, slug: str, token_id: str) -> HttpResponse:
        row = find_managed_account(self.actor, slug)
        members = read_members(request, ROTATION_MEMBERS)
        overlap = typed(members, "overlap", int, int(OVERLAP.total_seconds()))
        if not 0 <= overlap <= LONGEST_OVERLAP.total_seconds():
            raise invalid("/overlap", "range", "The overlap is 0 to 2592000 seconds (30 days).")
        token, raw = rotate_token(
            actor=self.actor,
            token=selectors.get_token(row, token_id),
            overlap=timedelta(seconds=overlap),
            expires_at=read_time(members.get("expires_at"), "expires_at"),
        )
        location = request.path.removesuffix(f"{token_id}/rotate") + str(token.pk)
        return answer_token(token, raw, location)


class TokenView(ApiView):
    """One token."""

    @documented("Withdraw a token", TOKEN)
    def delete(self, _request: Any, slug: str, token_id: str) -> HttpResponse:
        """It ends at once."""
        row = find_managed_account(self.actor, slug)
        token = selectors.get_token(row, token_id)
        services.withdraw_token(actor=self.actor, token=token)
        return HttpResponse(status=204)


def find_environment_of(actor: Any, members: dict[str, Tree]) -> Any:
    """The environment that a body names, or ``None``; one that is hidden is as good as missing."""
    slug = typed(members, "environment", str)
    if slug is None:
        return None
    found = find_environment(slug)
    if found is None or not policy.sees(actor, Place(environment=found)):
        raise invalid("/environment", "environment", "There is no such environment.")
    return found


def find_service_of(actor: Any, members: dict[str, Tree]) -> Any:
    """The service that a body names, or ``None``; one that is hidden is as good as missing."""
    slug = typed(members, "service", str)
    if slug is None:
        return None
    found = find_service(slug)
    if found is None or not policy.sees(actor, Place(found)):
        raise invalid("/service", "service", "There is no such service.")
    return found

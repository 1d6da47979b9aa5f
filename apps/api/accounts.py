"""Service accounts, tokens and grants."""

from typing import Any

from django.http import HttpResponse

from apps.access import policy, selectors, services
from apps.access.policy import EVERYWHERE, Place
from apps.api.base import (
    ApiView,
    answer_json,
    bad_member,
    paged,
    read_members,
    read_number,
    read_time,
    typed,
)
from apps.api.documentation import ACCOUNT, GRANT, LIST, TOKEN, documented
from apps.core import clock
from apps.engine.errors import NotFoundError, invalid
from apps.engine.values import Tree
from apps.registry.selectors import find_environment, find_service

ACCOUNT_MEMBERS = ("slug", "description", "environment")
TOKEN_MEMBERS = ("name", "expires_at")
GRANT_MEMBERS = ("to", "role", "verb", "on", "expires_at")


def present_account(row: Any) -> Tree:
    """A service account."""
    return {
        "slug": row.slug,
        "description": row.description,
        "environment": row.environment.slug if row.environment else None,
        "created_at": clock.rfc3339(row.created_at),
    }


def present_token(row: Any) -> Tree:
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


def present_grant(row: Any) -> Tree:
    """A grant: to whom, what, on what."""
    what = {"role": row.role} if row.role else {"verb": row.verb}
    return {
        "id": row.pk,
        "to": selectors.holder_name(row),
        **what,
        "on": {
            "service": row.service.slug if row.service else None,
            "environment": row.environment.slug if row.environment else None,
            "key_rule": None,
        },
        "expires_at": None,
        "created_at": clock.rfc3339(row.created_at),
        "created_by": row.created_by,
    }


class AccountsView(ApiView):
    """Service accounts."""

    @documented("List service accounts", LIST)
    def get(self, request: Any) -> HttpResponse:
        """A page of them, for those who manage something."""
        policy.require_anywhere(self.actor, "manage")
        return paged(request, selectors.list_accounts_of(self.actor), present_account)

    @documented("Make a service account", ACCOUNT)
    def post(self, request: Any) -> HttpResponse:
        """Make one, without any right yet."""
        return self.once(lambda: self._create(request), lambda: self._authorize(request))

    def _authorize(self, request: Any) -> None:
        environment = _environment(self.actor, read_members(request, ACCOUNT_MEMBERS))
        policy.require(self.actor, "manage", Place(environment=environment))

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, ACCOUNT_MEMBERS)
        made = services.create_account(
            actor=self.actor,
            slug=members.get("slug"),  # type: ignore[arg-type] # checked by the service
            description=typed(members, "description", str, ""),
            environment=_environment(self.actor, members),
        )
        headers = {"Location": f"{request.path}/{made.slug}"}
        return answer_json(present_account(made), 201, headers)


class AccountView(ApiView):
    """One service account."""

    @documented("Fetch a service account", ACCOUNT)
    def get(self, _request: Any, slug: str) -> HttpResponse:
        """Its members."""
        return answer_json(present_account(self._find(slug)))

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
            environment=_environment(self.actor, members),
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


def find_managed_account(actor: Any, slug: str) -> Any:
    """The account, for those who manage its environment; 404 for others."""
    row = selectors.get_account(slug)
    if not policy.allowed(actor, "manage", Place(environment=row.environment)):
        raise NotFoundError("There is no such service account.")
    return row


class TokensView(ApiView):
    """The tokens of a service account."""

    @documented("List an account's tokens", LIST)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """A page of them, newest first; never the tokens themselves."""
        row = find_managed_account(self.actor, slug)
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
        headers = {"Location": f"{request.path}/{token.pk}", "Cache-Control": "no-store"}
        answer = answer_json({**present_token(token), "token": raw}, 201, headers)
        answer.credential_id = str(token.pk)  # type: ignore[attr-defined] # not kept for replays
        return answer


class TokenView(ApiView):
    """One token."""

    @documented("Withdraw a token", TOKEN)
    def delete(self, _request: Any, slug: str, token_id: str) -> HttpResponse:
        """It ends at once."""
        row = find_managed_account(self.actor, slug)
        token = selectors.get_token(row, token_id)
        services.withdraw_token(actor=self.actor, token=token)
        return HttpResponse(status=204)


class GrantsView(ApiView):
    """Who may do what, and where."""

    @documented("List grants", LIST)
    def get(self, request: Any) -> HttpResponse:
        """A page of them, for those who manage or audit everything."""
        if not policy.allowed(self.actor, "audit", EVERYWHERE):
            policy.require(self.actor, "manage", EVERYWHERE)
        return paged(request, selectors.list_grants(), present_grant)

    @documented("Give a role or a verb", GRANT)
    def post(self, request: Any) -> HttpResponse:
        """Needs ``manage`` there, and what is given."""
        return self.once(lambda: self._create(request), lambda: self._authorize(request))

    def _authorize(self, request: Any) -> None:
        scope = typed(read_members(request, GRANT_MEMBERS), "on", dict, {})
        place = Place(_service(self.actor, scope), _environment(self.actor, scope))
        policy.require(self.actor, "manage", place)

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, GRANT_MEMBERS)
        if members.get("expires_at") is not None:
            raise invalid("/expires_at", "not_available", "Grants do not end by themselves yet.")
        scope = typed(members, "on", dict, {})
        unknown = set(scope) - {"service", "environment", "key_rule"}
        if unknown:
            raise bad_member("on", "'on' has service, environment and key_rule.")
        if scope.get("key_rule") is not None:
            raise invalid("/on/key_rule", "not_available", "There are no key rules yet.")
        made = services.grant(
            actor=self.actor,
            to=typed(members, "to", str, ""),
            role=typed(members, "role", str, ""),
            verb=typed(members, "verb", str, ""),
            service=_service(self.actor, scope),
            environment=_environment(self.actor, scope),
        )
        return answer_json(present_grant(made), 201, {"Location": f"{request.path}/{made.pk}"})


class GrantView(ApiView):
    """One grant."""

    @documented("Take a grant back", GRANT)
    def delete(self, _request: Any, pk: str) -> HttpResponse:
        """Other grants stay as they are."""
        number = read_number(pk, "id")
        found = find_known_grant(self.actor, number or 0)
        services.withdraw_grant(actor=self.actor, grant=found)
        return HttpResponse(status=204)


def find_known_grant(actor: Any, pk: int) -> Any:
    """The grant, for those who may know of it; 404 for others."""
    row = selectors.get_grant(pk)
    if policy.allowed(actor, "audit", EVERYWHERE):
        return row
    if not policy.allowed(actor, "manage", Place(row.service, row.environment)):
        raise NotFoundError("There is no such grant.")
    return row


def _environment(actor: Any, members: dict[str, Tree]) -> Any:
    slug = typed(members, "environment", str)
    if slug is None:
        return None
    found = find_environment(slug)
    if found is None or not policy.sees(actor, Place(environment=found)):
        raise invalid("/environment", "environment", "There is no such environment.")
    return found


def _service(actor: Any, members: dict[str, Tree]) -> Any:
    slug = typed(members, "service", str)
    if slug is None:
        return None
    found = find_service(slug)
    if found is None or not policy.sees(actor, Place(found)):
        raise invalid("/service", "service", "There is no such service.")
    return found

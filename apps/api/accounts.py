"""Service accounts, tokens, grants, and the ledger."""

from typing import Any

from django.http import HttpResponse

from apps.access import policy, selectors, services
from apps.access.policy import EVERYWHERE, Place
from apps.api.base import (
    ApiView,
    answer_json,
    bad_member,
    page_link,
    page_size,
    paged,
    read_members,
    read_number,
    read_time,
    typed,
)
from apps.api.documentation import ACCOUNT, AUDIT, GRANT, LIST, TOKEN, documented
from apps.audit.selectors import EventFilters, list_events
from apps.core import clock
from apps.engine.errors import NotFoundError, invalid
from apps.engine.values import Tree, parse_canonical
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
        return paged(request, selectors.list_accounts(), present_account)

    @documented("Make a service account", ACCOUNT)
    def post(self, request: Any) -> HttpResponse:
        """Make one, without any right yet."""
        return self.once(lambda: self._create(request))

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, ACCOUNT_MEMBERS)
        made = services.create_account(
            actor=self.actor,
            slug=members.get("slug"),  # type: ignore[arg-type] # checked by the service
            description=typed(members, "description", str, ""),
            environment=_environment(members),
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
            environment=_environment(members),
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
        return self.once(lambda: self._create(request, slug))

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
        return self.once(lambda: self._create(request))

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
            service=_service(scope),
            environment=_environment(scope),
        )
        return answer_json(present_grant(made), 201, {"Location": f"{request.path}/{made.pk}"})


class GrantView(ApiView):
    """One grant."""

    @documented("Take a grant back", GRANT)
    def delete(self, _request: Any, pk: str) -> HttpResponse:
        """Other grants stay as they are."""
        number = read_number(pk, "id")
        services.withdraw_grant(actor=self.actor, grant=selectors.get_grant(number or 0))
        return HttpResponse(status=204)


class AuditView(ApiView):
    """The ledger."""

    @documented("Read the ledger", AUDIT)
    def get(self, request: Any) -> HttpResponse:
        """A page of events, newest first (``order=asc`` for oldest first)."""
        policy.require(self.actor, "audit", EVERYWHERE)
        size = page_size(request)
        filters = EventFilters(
            actor=request.GET.get("actor", ""),
            action=request.GET.get("action", ""),
            target=request.GET.get("target", ""),
            since=read_time(request.GET.get("since"), "since"),
            until=read_time(request.GET.get("until"), "until"),
            ascending=request.GET.get("order") == "asc",
        )
        cursor = read_number(request.GET.get("cursor"), "cursor")
        found = list(list_events(filters, beyond=cursor)[: size + 1])
        following = found[size - 1].number if len(found) > size else None
        results = [present_event(event) for event in found[:size]]
        return answer_json(
            {"results": results, "next": page_link(request, following), "previous": None}
        )


def present_event(event: Any) -> Tree:
    """An event as the contract writes it."""
    return {
        "number": event.number,
        "revision": event.revision,
        "at": clock.rfc3339(event.at),
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "data": parse_canonical(event.data),
        "hash": event.hash,
        "previous": event.previous,
    }


def _environment(members: dict[str, Tree]) -> Any:
    slug = typed(members, "environment", str)
    if slug is None:
        return None
    found = find_environment(slug)
    if found is None:
        raise invalid("/environment", "environment", "There is no such environment.")
    return found


def _service(members: dict[str, Tree]) -> Any:
    slug = typed(members, "service", str)
    if slug is None:
        return None
    found = find_service(slug)
    if found is None:
        raise invalid("/service", "service", "There is no such service.")
    return found

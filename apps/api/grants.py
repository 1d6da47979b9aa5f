"""Who may do what, and which keys need a right of their own."""

from typing import Any

from django.http import HttpResponse

from apps.access import key_rules, policy, selectors, services
from apps.access.policy import EVERYWHERE, Place
from apps.api.accounts import find_environment_of, find_service_of
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
from apps.api.documentation import GRANT, KEY_RULE, LIST, documented
from apps.core import clock
from apps.engine.errors import NOTHING_HERE, NotFoundError, invalid
from apps.engine.values import Tree

GRANT_MEMBERS = ("to", "role", "verb", "on", "expires_at")
KEY_RULE_MEMBERS = ("pattern", "service", "environment", "description")


def present_grant(row: Any) -> dict[str, Tree]:
    """A grant: to whom, what, on what."""
    what = {"role": row.role} if row.role else {"verb": row.verb}
    return {
        "id": row.pk,
        "to": selectors.holder_name(row),
        **what,
        "on": {
            "service": row.service.slug if row.service else None,
            "environment": row.environment.slug if row.environment else None,
            "key_rule": row.key_rule_id,
        },
        "expires_at": clock.rfc3339(row.expires_at) if row.expires_at else None,
        "created_at": clock.rfc3339(row.created_at),
        "created_by": row.created_by,
    }


def present_key_rule(row: Any) -> dict[str, Tree]:
    """A rule: which keys, and where."""
    return {
        "id": row.pk,
        "pattern": row.pattern,
        "service": row.service.slug if row.service else None,
        "environment": row.environment.slug if row.environment else None,
        "description": row.description,
        "created_at": clock.rfc3339(row.created_at),
        "created_by": row.created_by,
    }


def list_known_grants(actor: Any) -> Any:
    """Every grant, for those who manage or audit everything."""
    if not policy.allowed(actor, "audit", EVERYWHERE):
        policy.require(actor, "manage", EVERYWHERE)
    return selectors.list_grants()


def list_known_rules(actor: Any) -> Any:
    """The key rules that the actor may change or audit."""
    rows = selectors.list_key_rules()
    known = [row.pk for row in rows if policy.may_know_rule(actor, row)]
    if not known:
        policy.require_anywhere(actor, "secure")
    return rows.filter(pk__in=known)


class GrantsView(ApiView):
    """Who may do what, and where."""

    @documented("List grants", LIST)
    def get(self, request: Any) -> HttpResponse:
        """A page of them, for those who manage or audit everything."""
        return paged(request, list_known_grants(self.actor), present_grant)

    @documented("Give a role or a verb", GRANT)
    def post(self, request: Any) -> HttpResponse:
        """Needs ``manage`` there, and what is given."""
        return self.once(lambda: self._create(request), lambda: self._authorize(request))

    def _authorize(self, request: Any) -> None:
        on = _scope(self.actor, read_members(request, GRANT_MEMBERS))
        if isinstance(on, Place):
            policy.require(self.actor, "manage", on)

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, GRANT_MEMBERS)
        made = services.grant(
            actor=self.actor,
            to=typed(members, "to", str, ""),
            role=typed(members, "role", str, ""),
            verb=typed(members, "verb", str, ""),
            on=_scope(self.actor, members),
            expires_at=read_time(members.get("expires_at"), "expires_at"),
        )
        return answer_json(present_grant(made), 201, {"Location": f"{request.path}/{made.pk}"})


def _scope(actor: Any, members: dict[str, Tree]) -> Any:
    """What a grant is given on: a place, or the key rule of that number."""
    scope = typed(members, "on", dict, {})
    if set(scope) - {"service", "environment", "key_rule"}:
        raise bad_member("on", "'on' has service, environment and key_rule.")
    number = typed(scope, "key_rule", int)
    if number is None:
        return Place(find_service_of(actor, scope), find_environment_of(actor, scope))
    if scope.get("service") is not None or scope.get("environment") is not None:
        message = "A grant on a key rule has no service or environment: the rule has them."
        raise invalid("/on", "scope", message)
    try:
        return find_known_rule(actor, number)
    except NotFoundError as error:
        raise invalid("/on/key_rule", "key_rule", "There is no such key rule.") from error


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
    if not policy.may_know_grant(actor, row):
        raise NotFoundError("There is no such grant.")
    return row


class KeyRulesView(ApiView):
    """Which keys need a right of their own."""

    @documented("List key rules", LIST)
    def get(self, request: Any) -> HttpResponse:
        """A page of those that the caller may change or audit."""
        return paged(request, list_known_rules(self.actor), present_key_rule)

    @documented("Make a key rule", KEY_RULE)
    def post(self, request: Any) -> HttpResponse:
        """Needs ``secure`` in its scope; from then on the keys need grants on the rule."""
        return self.once(
            lambda: self._create(request),
            lambda: policy.require(self.actor, "secure", self._place(request)),
        )

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, KEY_RULE_MEMBERS)
        made = key_rules.create_key_rule(
            actor=self.actor,
            pattern=members.get("pattern"),  # type: ignore[arg-type] # checked by the service
            place=self._place(request),
            description=typed(members, "description", str, ""),
        )
        return answer_json(present_key_rule(made), 201, {"Location": f"{request.path}/{made.pk}"})

    def _place(self, request: Any) -> Place:
        members = read_members(request, KEY_RULE_MEMBERS)
        service = find_service_of(self.actor, members)
        return Place(service, find_environment_of(self.actor, members))


class KeyRuleView(ApiView):
    """One key rule."""

    @documented("Fetch a key rule", KEY_RULE)
    def get(self, _request: Any, pk: str) -> HttpResponse:
        """Its members."""
        return answer_json(present_key_rule(self._find(pk)))

    @documented("Change a key rule", KEY_RULE)
    def patch(self, request: Any, pk: str) -> HttpResponse:
        """Its pattern or its description; its scope does not change."""
        rule = self._find(pk)
        members = read_members(request, KEY_RULE_MEMBERS)
        shown = present_key_rule(rule)
        for name in ("service", "environment"):
            if members.get(name, shown[name]) != shown[name]:
                raise invalid(f"/{name}", "immutable", "The scope of a rule does not change.")
        made = key_rules.update_key_rule(
            actor=self.actor,
            rule=rule,
            pattern=typed(members, "pattern", str),
            description=typed(members, "description", str),
        )
        return answer_json(present_key_rule(made))

    @documented("End a key rule", KEY_RULE)
    def delete(self, _request: Any, pk: str) -> HttpResponse:
        """And the grants on it; its keys go by the ordinary grants again."""
        key_rules.delete_key_rule(actor=self.actor, rule=self._find(pk))
        return HttpResponse(status=204)

    def _find(self, pk: str) -> Any:
        return find_known_rule(self.actor, read_number(pk, "id") or 0)


def find_known_rule(actor: Any, pk: int) -> Any:
    """The key rule, for those who may change or audit it; 404 for others."""
    row = selectors.get_key_rule(pk)
    if not policy.may_know_rule(actor, row):
        raise NotFoundError(NOTHING_HERE)
    return row

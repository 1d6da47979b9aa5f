"""Giving and taking back grants from the pages about rights, and what their forms show."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from apps.access import policy, selectors, services
from apps.access.explaining import Answer, Reason
from apps.access.models import Grant, KeyRule
from apps.access.policy import EVERYWHERE, Place
from apps.access.roles import VERBS, list_roles
from apps.configs.selectors.places import (
    get_listed_environment,
    get_listed_service,
    list_environments,
    list_services,
)
from apps.core.actor import Actor
from apps.engine import values
from apps.engine.errors import NOTHING_HERE, DomainError, NotFoundError, invalid
from apps.portal.addresses import actor_url, place_url, rule_url
from apps.portal.shared import actor_of, tell

GIVEN = ("to", "role", "service", "environment", "key_rule", "until")


def change(request: HttpRequest) -> bool:
    """Do what a form asks: take a grant back, or give one; what is refused is shown.

    Returns whether it was done.
    """
    actor = actor_of(request)
    try:
        if "withdraw" in request.POST:
            _withdraw(request, actor, values.whole(request.POST["withdraw"]) or 0)
        else:
            _give(request, actor)
    except DomainError as error:
        tell(request, error)
        return False
    return True


def _withdraw(request: HttpRequest, actor: Actor, number: int) -> None:
    grant = selectors.get_grant(number)
    if not policy.may_know_grant(actor, grant):
        raise NotFoundError("There is no such grant.")
    name = selectors.holder_name(grant)
    services.withdraw_grant(actor=actor, grant=grant)
    messages.success(request, f"{name} no longer has '{grant.role or grant.verb}' by this grant.")


def _give(request: HttpRequest, actor: Actor) -> None:
    role = request.POST.get("role", "")
    verbs = request.POST.getlist("verb")
    if role and verbs:
        raise invalid("/role", "role_or_verb", "Choose a role, or verbs, not both.")
    what = [(role, "")] if role else [("", verb) for verb in verbs]
    on = _scope(request, actor)
    given = services.grant_each(
        actor=actor,
        to=request.POST.get("to", "").strip(),
        what=what,
        on=on,
        expires_at=_end(request),
    )
    name = selectors.holder_name(given[0])
    words = ", ".join(f"'{each.role or each.verb}'" for each in given)
    where = _words(on)
    preposition = "" if where == "everywhere" else "on "
    messages.success(request, f"{name} now has {words} {preposition}{where}.")


def _scope(request: HttpRequest, actor: Actor) -> Place | KeyRule:
    service, environment = request.POST.get("service"), request.POST.get("environment")
    text = request.POST.get("key_rule", "")
    if not text:
        return Place(
            get_listed_service(actor=actor, slug=service) if service else None,
            get_listed_environment(actor=actor, slug=environment) if environment else None,
        )
    rule = selectors.list_key_rules().filter(pk=values.whole(text) or 0).first()
    if rule is None or not policy.may_know_rule(actor, rule):
        raise NotFoundError(NOTHING_HERE)
    return rule


def _end(request: HttpRequest) -> datetime | None:
    text = request.POST.get("until", "")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise invalid("/until", "time", "The end is a date and a time.") from None


def form(
    request: HttpRequest, *, to: str = "", on: Place | KeyRule | None = None
) -> dict[str, Any]:
    """What the form for giving shows: the choices, and what was typed before it was refused."""
    actor = actor_of(request)
    rule, place = (on, None) if isinstance(on, KeyRule) else (None, on)
    given = {
        "to": to,
        "role": "",
        "service": place.service.slug if place and place.service else "",
        "environment": place.environment.slug if place and place.environment else "",
        "key_rule": str(rule.pk) if rule else "",
        "until": "",
        "verbs": [],
    }
    if request.method == "POST" and "withdraw" not in request.POST:
        given |= {name: request.POST.get(name, "") for name in GIVEN}
        given["verbs"] = request.POST.getlist("verb")
    return {
        "given": given,
        "roles": list_roles(),
        "verbs": VERBS,
        "holders": selectors.list_holders(),
        "services": list_services(actor=actor),
        "environments": list_environments(actor=actor),
        "key_rules": [
            {"pk": each.pk, "title": _words(each)}
            for each in selectors.list_key_rules()
            if policy.allowed(actor, "secure", Place(each.service, each.environment))
        ],
    }


def present(actor: Actor, answer: Answer, *, by_place: bool) -> dict[str, Any]:
    """One answer as a row: about an actor on the pages of objects, about a place on an actor's."""
    on = answer.on
    where = rule_url(on) if isinstance(on, KeyRule) else place_url(on)
    own = actor.name == answer.name
    return {
        "title": _words(on) if by_place else answer.name,
        "url": where if by_place else actor_url(answer.name),
        "is_rule": isinstance(on, KeyRule),
        "is_superuser": answer.is_superuser,
        "members": answer.members,
        "verbs": [{"name": verb, "ends": end} for verb, end in answer.verbs.items()],
        "reasons": [_reason(actor, each, own=own) for each in answer.reasons],
    }


def grant_row(actor: Actor, grant: Grant) -> dict[str, Any]:
    """One grant as a row of a list."""
    name = selectors.holder_name(grant)
    on = grant.key_rule or Place(grant.service, grant.environment)
    return {
        "grant": grant,
        "holder": name,
        "is_group": grant.group_id is not None,
        "url": actor_url(name),
        "what": grant.role or grant.verb,
        "where": _words(on),
        "where_url": rule_url(on) if isinstance(on, KeyRule) else place_url(on),
        "ends": grant.expires_at,
        "may_withdraw": policy.may_withdraw(actor, grant),
    }


def may_hear_of(actor: Actor, rule: KeyRule, *, own: bool) -> bool:
    """Whether a rule may be shown to the actor; ``own``: as one that he has a grant on."""
    scope = Place(rule.service, rule.environment)
    return policy.may_know_rule(actor, rule) or (own and policy.sees(actor, scope))


def _words(on: Place | KeyRule) -> str:
    if isinstance(on, KeyRule):
        return f"the keys {on.pattern} of {describe(Place(on.service, on.environment))}"
    return describe(on)


def describe(place: Place) -> str:
    """A place in words."""
    if place == EVERYWHERE:
        return "everywhere"
    whole = place.service and place.environment
    return f"{place.service} in {place.environment}" if whole else place.words


def _reason(actor: Actor, reason: Reason, *, own: bool) -> dict[str, Any]:
    grant = reason.grant
    on = grant.key_rule or Place(grant.service, grant.environment)
    if grant.key_rule is not None and not may_hear_of(actor, grant.key_rule, own=own):
        return {"hidden": True}
    return {
        "grant": grant,
        "what": reason.what,
        "verbs": ", ".join(reason.verbs),
        "holder": selectors.holder_name(grant),
        "group": reason.group,
        "group_url": actor_url(f"group:{reason.group}") if reason.group else "",
        "where": _words(on),
        "ends": reason.ends_at,
        "may_withdraw": policy.may_withdraw(actor, grant),
    }

"""Key rules: which keys need a right of their own, with a look at what a pattern covers today."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.access import key_rules, policy, selectors
from apps.access.models import KeyRule
from apps.access.policy import Place
from apps.configs.selectors.covered import MOST_KEYS, Coverage, find_covered
from apps.configs.selectors.places import (
    get_listed_environment,
    get_listed_service,
    list_environments,
    list_services,
)
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, DomainError, NotFoundError, invalid
from apps.portal import giving
from apps.portal.addresses import place_url, rule_url
from apps.portal.giving import describe
from apps.portal.shared import actor_of, address, answers_json, reader_of, render, tell
from apps.portal.shared import page as guarded_page

PAGE = 50
MEMBERS = ("pattern", "service", "environment", "description")


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """The rules that the person may change or audit, and making one."""
    actor = reader_of(request)
    rows = selectors.list_key_rules().annotate(given=Count("grants"))
    known = [each for each in rows if policy.may_know_rule(actor, each)]
    if not any(policy.holds_anywhere(actor, verb) for verb in policy.KNOWN_TO):
        policy.require_anywhere(actor, "secure")
    if request.method == "POST":
        try:
            made = _create(request, actor)
        except DomainError as error:
            tell(request, error)
        else:
            messages.success(request, "The rule holds: its keys need grants on it now.")
            return HttpResponseRedirect(rule_url(made))
    words = request.GET.get("q", "").strip().lower()
    found = [each for each in known if words in f"{each} {_where(each)} {each.description}".lower()]
    paged = Paginator(found, PAGE).get_page(request.GET.get("page"))
    answer = render(
        request,
        "portal/key_rules.html",
        title="Key rules",
        rows=[{"rule": each, "url": rule_url(each), "where": _where(each)} for each in paged],
        page=paged,
        asked={"q": words},
        given={name: request.POST.get(name, "") for name in MEMBERS},
        refused=request.method == "POST",
        may_make=policy.holds_anywhere(actor, "secure"),
        services=list_services(actor=actor),
        environments=list_environments(actor=actor),
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _create(request: HttpRequest, actor: Actor) -> KeyRule:
    return key_rules.create_key_rule(
        actor=actor,
        pattern=request.POST.get("pattern", "").strip(),
        place=_place(actor, request.POST),
        description=request.POST.get("description", ""),
    )


def _place(actor: Actor, given: Any) -> Place:
    service, environment = given.get("service"), given.get("environment")
    return Place(
        get_listed_service(actor=actor, slug=service) if service else None,
        get_listed_environment(actor=actor, slug=environment) if environment else None,
    )


def _where(rule: KeyRule) -> str:
    return describe(key_rules.scope_of(rule))


@guarded_page
def one(request: HttpRequest, number: int) -> HttpResponse:
    """A rule: changing and ending it, its grants, and what it covers today."""
    actor = reader_of(request)
    rule = selectors.get_key_rule(number)
    if not policy.may_know_rule(actor, rule):
        raise NotFoundError(NOTHING_HERE)
    if request.method == "POST":
        done = _change(request, rule)
        if done is not None:
            return done
    scope = key_rules.scope_of(rule)
    may_change = policy.allowed(actor, "secure", scope)
    grants = selectors.list_grants().filter(key_rule=rule)
    paged = Paginator(grants, PAGE).get_page(request.GET.get("page"))
    answer = render(
        request,
        "portal/key_rule.html",
        title="Key rule",
        rule=rule,
        where=_where(rule),
        place_url=place_url(scope),
        may_change=may_change,
        may_loosen=key_rules.may_loosen(actor, rule),
        coverage=_presented(find_covered(actor=actor, pattern=rule.pattern, place=scope)),
        page=paged,
        rows=[giving.grant_row(actor, each) for each in paged],
        may_give=may_change,
        asked={"q": ""},
        **giving.form(request, on=rule),
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _change(request: HttpRequest, rule: KeyRule) -> HttpResponse | None:
    """Do what the page's forms ask; ``None`` when it was refused."""
    act, actor = request.POST.get("act"), actor_of(request)
    here = HttpResponseRedirect(rule_url(rule))
    if act not in ("update", "delete"):
        return here if giving.change(request) else None
    try:
        if act == "delete":
            key_rules.delete_key_rule(actor=actor, rule=rule)
            messages.success(request, "The rule has ended, and the grants on it.")
            return HttpResponseRedirect(reverse("admin:key-rules"))
        key_rules.update_key_rule(
            actor=actor,
            rule=selectors.get_key_rule(rule.pk),
            pattern=request.POST.get("pattern", "").strip(),
            description=request.POST.get("description", ""),
        )
    except DomainError as error:
        tell(request, error)
        return None
    messages.success(request, "The rule is changed.")
    return here


@require_GET
@answers_json
def preview(request: HttpRequest) -> HttpResponse:
    """What a pattern covers today, while it is being written."""
    actor = reader_of(request)
    policy.require_anywhere(actor, "secure")
    pattern = request.GET.get("pattern", "").strip()
    if not pattern:
        raise invalid("/pattern", "required", "Write a pattern such as security.** first.")
    found = find_covered(actor=actor, pattern=pattern, place=_place(actor, request.GET))
    return JsonResponse(_presented(found))


def _presented(found: Coverage) -> dict[str, Any]:
    return {
        "found": [
            {
                "place": str(each.place),
                "url": address("config", each.place),
                "keys": each.keys,
                "more": max(0, each.count - MOST_KEYS),
            }
            for each in found.found
        ],
        "count": sum(each.count for each in found.found),
        "left": found.there_are - found.read,
    }

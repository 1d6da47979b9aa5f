"""Who may do what here and why, for every object; what somebody may do, for every actor."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.access import explaining, policy, selectors
from apps.access.explaining import Answer
from apps.access.models import Grant, KeyRule, Token
from apps.access.policy import EVERYWHERE, Place
from apps.core import clock
from apps.core.actor import Actor
from apps.engine import paths
from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.portal import giving
from apps.portal.addresses import actor_url, may_ask, rule_url
from apps.portal.giving import describe, grant_row, present
from apps.portal.shared import page as guarded_page
from apps.portal.shared import reader_of, render, tabs
from apps.registry.selectors import get_environment, get_service

PAGE = 50
MOST_RULES = 12
ASKED = ("service", "environment", "key", "q", "view")
SECRETS = "$secret"


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """Everybody who may do something at a place or with a key; giving and taking it back."""
    actor = reader_of(request)
    asked = {name: request.GET.get(name, "").strip() for name in ASKED}
    place = Place(
        get_service(asked["service"]) if asked["service"] else None,
        get_environment(asked["environment"]) if asked["environment"] else None,
    )
    if not may_ask(actor, place):
        policy.require(actor, "manage", place)
    key = paths.parse_path(asked["key"]) if asked["key"] else None
    if request.method == "POST" and giving.change(request):
        return HttpResponseRedirect(request.get_full_path())
    by_grant = asked["view"] == "grants" and key is None
    rules = explaining.rules_at(place, key)
    known = [each for each in rules if policy.may_know_rule(actor, each)]
    one = known[0] if key is not None and len(known) == 1 else None
    answer = render(
        request,
        "portal/rights.html",
        title=_title(place, key),
        place=place,
        about=describe(place),
        key=key,
        secret=key[1] if key and key[0] == SECRETS and len(key) > 1 else "",
        asked=asked,
        by_grant=by_grant,
        rules=[{"rule": each, "url": rule_url(each)} for each in known[:MOST_RULES]],
        more_rules=max(len(known) - MOST_RULES, 0),
        hidden_rules=len(rules) - len(known),
        may_give=policy.allowed(actor, "manage", place) or (one and _may_give_on(actor, one)),
        tabs=tabs(request, place, "rights") if place.service and place.environment else [],
        **_listed(request, actor, place, key, by_grant=by_grant),
        **giving.form(request, on=one or place),
        may_audit=policy.allowed(actor, "audit", place),
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _may_give_on(actor: Actor, rule: KeyRule) -> bool:
    return policy.allowed(actor, "secure", Place(rule.service, rule.environment))


def _title(place: Place, key: paths.Path | None) -> str:
    if key is None:
        return f"Rights on {place.words}" if place != EVERYWHERE else "Rights everywhere"
    return f"Rights on {paths.format_path(key)} of {place.words}"


def _listed(
    request: HttpRequest, actor: Actor, place: Place, key: paths.Path | None, *, by_grant: bool
) -> dict[str, Any]:
    """The page of answers, or of grants, that the search leaves."""
    words = request.GET.get("q", "").strip().lower()
    if by_grant:
        found: list[Any] = [
            each
            for each in selectors.list_grants_within(place.service, place.environment)
            if policy.may_know_grant(actor, each) and words in _grant_text(each)
        ]
        paged = Paginator(found, PAGE).get_page(request.GET.get("page"))
        return {"page": paged, "rows": [grant_row(actor, each) for each in paged]}
    rows = [present(actor, each, by_place=False) for each in explaining.who_may(place, key)]
    paged = Paginator(_with(words, rows), PAGE).get_page(request.GET.get("page"))
    return {"page": paged, "rows": list(paged)}


def _with(words: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that show the words: a search looks at what the reader sees, and at nothing else."""
    return [each for each in rows if words in _text(each)]


def _text(row: dict[str, Any]) -> str:
    shown = [row["title"], *(verb["name"] for verb in row["verbs"])]
    shown += [each.get(name, "") for each in row["reasons"] for name in ("what", "group")]
    return " ".join(shown).lower()


def _grant_text(grant: Grant) -> str:
    on = grant.key_rule or Place(grant.service, grant.environment)
    return f"{selectors.holder_name(grant)} {grant.role or grant.verb} {on}".lower()


@guarded_page
def of_actor(request: HttpRequest) -> HttpResponse:
    """What a person, a group, a service account or a token may do, as far as one may ask."""
    actor = reader_of(request)
    name, token = request.GET.get("who", "").strip(), None
    if "token" in request.GET:
        token = _find_known_token(actor, request.GET["token"])
        name = f"service-account:{token.account.slug}" if token else ""
    _require_askable(actor, name)
    holder = selectors.find_holder(name)
    if holder is None:
        raise NotFoundError(NOTHING_HERE)
    if request.method == "POST" and giving.change(request):
        return HttpResponseRedirect(request.get_full_path())
    words = request.GET.get("q", "").strip().lower()
    rows = [
        present(actor, each, by_place=True)
        for each in explaining.what_may(holder)
        if _may_hear(actor, name, each)
    ]
    paged = Paginator(_with(words, rows), PAGE).get_page(request.GET.get("page"))
    everything = policy.allowed(actor, "audit", EVERYWHERE) or policy.allowed(
        actor, "manage", EVERYWHERE
    )
    answer = render(
        request,
        "portal/actor.html",
        title=f"What {name} may do",
        name=name,
        token=token,
        token_ended=token and _has_ended(token),
        is_active=getattr(holder, "is_active", True),
        is_superuser=getattr(holder, "is_superuser", False),
        groups=_groups(holder) if everything or actor.name == name else [],
        members=_members(holder) if everything else [],
        is_group=name.startswith("group:"),
        everything=everything,
        asked={"who": name, "token": request.GET.get("token", ""), "q": words},
        page=paged,
        rows=list(paged),
        may_give=policy.holds_anywhere(actor, "secure"),
        **giving.form(request, to=name),
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _find_known_token(actor: Actor, token_id: str) -> Token | None:
    """The token, for those who manage or audit its account."""
    token = selectors.find_token(token_id)
    if token is None:
        return None
    return token if selectors.list_accounts_of(actor).filter(pk=token.account_id) else None


def _require_askable(actor: Actor, name: str) -> None:
    """Anybody may ask about himself, others only who gives or audits rights somewhere."""
    if actor.name == name:
        return
    if not any(policy.holds_anywhere(actor, verb) for verb in ("audit", "secure")):
        raise NotFoundError(NOTHING_HERE)


def _may_hear(actor: Actor, name: str, answer: Answer) -> bool:
    """Whether the place of an answer is the asker's to know of."""
    on = answer.on
    if isinstance(on, KeyRule):
        return giving.may_hear_of(actor, on, own=actor.name == name)
    own = actor.name == name and policy.sees(actor, on)
    return own or any(policy.allowed(actor, verb, on) for verb in ("audit", "manage"))


def _has_ended(token: Token) -> bool:
    ended = token.expires_at is not None and token.expires_at <= clock.now()
    return ended or token.withdrawn_at is not None


def _groups(holder: explaining.Holder) -> list[dict[str, str]]:
    if not hasattr(holder, "groups"):
        return []
    names = [f"group:{each.name}" for each in holder.groups.order_by("name")]
    return [{"name": each, "url": actor_url(each)} for each in names]


def _members(holder: explaining.Holder) -> list[dict[str, str]]:
    if hasattr(holder, "groups"):
        return []
    people = holder.user_set.filter(is_active=True).select_related("service_account")
    names = sorted(explaining.name_of(each) for each in people)
    return [{"name": each, "url": actor_url(each)} for each in names]

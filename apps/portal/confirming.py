"""Confirming rights after a restore: who could do what, and what of it goes before it counts again."""

import uuid
from collections import defaultdict
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.access.factors import list_factored
from apps.access.holds import (
    Withdrawn,
    are_held,
    confirm_rights,
    list_lasting_tokens,
    list_people,
)
from apps.access.policy import Place
from apps.access.selectors import holder_name, list_accounts, list_grants, list_key_rules
from apps.audit.selectors import EventFilters, list_events
from apps.core import clock
from apps.core.actor import Actor
from apps.engine import values
from apps.engine.errors import DomainError, ForbiddenError, MalformedError
from apps.portal.shared import actor_of, render, tell
from apps.portal.shared import page as guarded_page

MAX_KEY = 2**63


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """The list of rights that wait, and the one button that lets them count again."""
    actor = actor_of(request)
    if not actor.is_superuser:
        raise ForbiddenError("Only a superuser may confirm rights.", right="superuser")
    held = are_held()
    if request.method == "POST":
        try:
            confirm_rights(actor=actor, withdraw=_chosen(request))
        except DomainError as error:
            tell(request, error)
        else:
            messages.success(request, "Confirmed: rights count again.")
            return HttpResponseRedirect(reverse("admin:index"))
    context: dict[str, Any] = _rows(actor) if held else {}
    title = "Confirm rights after a restore"
    return render(request, "portal/confirm_rights.html", title=title, held=held, **context)


def _rows(actor: Actor) -> dict[str, Any]:
    tokens = defaultdict(list)
    for each in list_lasting_tokens():
        tokens[each.account_id].append(each)
    factored = list_factored()
    restored = list_events(EventFilters(action="installation.restored")).first()
    return {
        "restored": restored,
        "restored_ms": int((restored.at if restored else clock.now()).timestamp() * 1000),
        "people": [
            {"user": each, "factor": each.pk in factored, "own": each.pk == actor.user_id}
            for each in list_people()
        ],
        "accounts": [{"account": each, "tokens": tokens[each.pk]} for each in list_accounts()],
        "token_count": sum(map(len, tokens.values())),
        "grants": [
            {
                "grant": each,
                "holder": holder_name(each),
                "on": each.key_rule or Place(each.service, each.environment).words,
            }
            for each in list_grants()
        ],
        "rules": list_key_rules(),
    }


def _chosen(request: HttpRequest) -> Withdrawn:
    try:
        tokens = [str(uuid.UUID(each)) for each in request.POST.getlist("token")]
    except ValueError:
        raise MalformedError("A token is named by its id.") from None
    return Withdrawn(_numbers(request, "person"), tokens, _numbers(request, "grant"))


def _numbers(request: HttpRequest, name: str) -> list[int]:
    found = [values.whole(each) for each in request.POST.getlist(name)]
    numbers = [each for each in found if each is not None and each < MAX_KEY]
    if len(numbers) != len(found):
        raise MalformedError(f"A {name} is named by its number.")
    return numbers

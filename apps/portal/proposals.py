"""Drafts that wait for those who may publish: handing one over, looking at it, publishing it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_POST

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Change
from apps.configs.selectors.configurations import Published, find_live
from apps.configs.selectors.proposals import get_proposal
from apps.configs.services import drafts
from apps.configs.services.bases import Base, Options
from apps.configs.services.proposing import propose, publish_proposal, send_back, take_back
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.reads import note_given
from apps.engine import diff, values
from apps.engine.errors import ConflictError, DomainError, NotFoundError
from apps.portal import editor
from apps.portal.reviewing import others_of
from apps.portal.shared import actor_of, address, place_of, render, tabs, tell
from apps.portal.shared import page as guarded_page
from apps.portal.timeline import shown


@require_POST
@guarded_page
def hand_over(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Ask those who may publish here, or take it back."""
    place = place_of(request, service, environment)
    actor = actor_of(request)
    if request.POST.get("take_back"):
        take_back(actor=actor, place=place)
        messages.success(request, "It is yours alone again.")
        return HttpResponseRedirect(address("config", place))
    given = editor.read_draft(request)
    try:
        propose(actor=actor, place=place, draft=given)
    except ConflictError as moved:
        return editor.older(request, place, given, moved)
    except DomainError as error:
        drafts.save_draft(actor=actor, place=place, draft=given)
        tell(request, error)
    else:
        messages.success(request, "Handed over: whoever may publish here sees it now.")
    return HttpResponseRedirect(address("config", place))


@guarded_page
def one(request: HttpRequest, service: str, environment: str, number: int) -> HttpResponse:
    """What a draft would change; it is published, or sent back, on confirmation."""
    place = place_of(request, service, environment, "publish")
    actor = actor_of(request)
    if request.method == "POST":
        return _decide(request, actor, place, number)
    change = get_proposal(actor=actor, place=place, number=number)
    live = find_live(actor=actor, place=place)
    note_given(actor=actor, given=[live] if live else [])
    preview, refusal = None, None
    dependents = "leave" if request.GET.get("dependents") == "leave" else "refuse"
    try:
        base = Base(live.version if live else 0)
        options = Options(base=base, dependents=dependents, dry_run=True)
        known = clock.rfc3339(change.updated_at)
        preview = publish_proposal(
            actor=actor, place=place, number=number, known=known, options=options
        )
    except DomainError as error:
        refusal = error
    return render(
        request,
        "portal/proposal.html",
        title=f"{service} · {environment}",
        place=place,
        change=change,
        known=clock.rfc3339(change.updated_at),
        live=live,
        dependents=dependents,
        preview=preview,
        refusal=refusal,
        changes=list(map(shown, preview.changes)) if preview else [],
        others=others_of(preview.affected) if preview else None,
        tabs=tabs(request, place, "config"),
        **_texts(place, live, change),
    )


def _texts(place: Place, live: Published | None, change: Change) -> dict[str, Any]:
    """What is written live and in the draft, side by side: unless something was published since, or
    its author does not see all keys, which his text lacks and publishing keeps.
    """
    old = live.source if live else ""
    user = change.author
    author = Actor(f"user:{user.get_username()}", user.pk, user.is_superuser)
    sees_all = policy.guard(author, "read", place).is_open
    if not sees_all or (live and live.version != change.base_version):
        return {}
    titles = (f"version {live.version}" if live else "nothing", f"draft of {change.author}")
    return {
        "texts": {"old": old, "new": change.content, "format": change.format},
        "source_diff": diff.unified(old, change.content, *titles),
    }


def _decide(request: HttpRequest, actor: Actor, place: Place, number: int) -> HttpResponse:
    words = request.POST.get("message", "")
    back = HttpResponseRedirect(address("config", place))
    try:
        change = get_proposal(actor=actor, place=place, number=number)
        if request.POST.get("act") == "send_back":
            send_back(actor=actor, place=place, number=change.pk, answer=words)
            messages.success(request, f"{change.author} has the draft back.")
            return back
        base = Base(values.whole(request.POST.get("live", "")))
        dependents = request.POST.get("dependents", "refuse")
        options = Options(message=words, base=base, dependents=dependents)
        known = request.POST.get("known", "")
        outcome = publish_proposal(
            actor=actor, place=place, number=change.pk, known=known, options=options
        )
    except NotFoundError:
        messages.error(
            request, "This draft waits no more: it was published, or is with its author."
        )
        return back
    except DomainError as error:
        tell(request, error)
        return HttpResponseRedirect(address("config-proposal", place, number))
    if outcome.unchanged:
        messages.info(request, "It is what was live already: no new version was made.")
    else:
        more = editor.followed(outcome.affected)
        messages.success(
            request, f"Published version {outcome.version}, written by {change.author}.{more}"
        )
    return back

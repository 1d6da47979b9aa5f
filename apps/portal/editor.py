"""The configuration page: one editor, one draft, publishing with the diff before it."""

import json
from collections.abc import Sequence
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import get_script_prefix
from django.views.decorators.http import require_POST

from apps.access import policy
from apps.access.policy import Place
from apps.access.reader_tokens import make_reader_token, may_make_reader, reader_name
from apps.configs import sources
from apps.configs.laying import check_kept
from apps.configs.selectors.comparing import merge_keys_of
from apps.configs.selectors.configurations import Published, find_live, list_live
from apps.configs.selectors.templates import find_draft, list_templates
from apps.configs.services import drafts, publishing
from apps.configs.services.bases import Base, Options
from apps.configs.services.kernel import Affected
from apps.configs.services.merging import merge_draft
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.reads import note_given
from apps.engine import diff, formats, paths, values
from apps.engine.errors import (
    ConflictError,
    DomainError,
    MalformedError,
    UnrepresentableError,
    invalid,
)
from apps.engine.merge import OPAQUE
from apps.engine.values import canonical, parse_canonical
from apps.portal import extending
from apps.portal.section_help import glances, help_of, plain
from apps.portal.shared import (
    actor_of,
    address,
    answers_json,
    may,
    place_of,
    reader_of,
    render,
    tabs,
    tell,
)
from apps.portal.shared import (
    page as guarded_page,
)
from apps.portal.timeline import shown
from apps.portal.waiting import waiting
from apps.rollouts.flags import KIND
from apps.vault.selectors import is_sealed, list_usable, may_name

MAX_VERSION = 2**31
SOME_KEY = "settings.timeout"
EDITABLE = ("yaml", "json", "toml", "xml", "properties", "env")
STARTER = "# The first configuration of {service} in {environment}.\nsettings:\n  timeout: 2500\n"


@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The editor with the person's draft, or with what is live."""
    place = place_of(request, service, environment, "read")
    actor = actor_of(request)
    published = find_live(actor=actor, place=place)
    note_given(actor=actor, given=[published] if published else [])
    rights = may(request, place)
    text = _text(actor, place, published)
    sections = help_of(actor, place)
    tree = published.tree if published and not published.row.retired else {}
    return render(
        request,
        "portal/config.html",
        title=f"{service} · {environment}",
        place=place,
        may=rights,
        may_write=rights["edit"] or rights["publish"],
        live=published,
        retired=bool(published and published.row.retired),
        before=published.version - 1 if published else 0,
        draft=find_draft(actor=actor, place=place),
        text=text,
        formats=EDITABLE,
        choices=extending.choices(list_templates(actor=actor), text["extends"]),
        sections=sections,
        glances=glances(actor, place, tree),
        known=plain(tree),
        flag_sections=[key for key, each in sections.items() if each["kind"] == KIND],
        tabs=tabs(request, place, "config"),
        waiting=waiting(reader_of(request), place),
        elsewhere=list_live(actor=actor, service=place.service),
        ws_url=f"{get_script_prefix()}ws/config",
        **_secrets(request, place),
    )


def _secrets(request: HttpRequest, place: Place) -> dict[str, Any]:
    """The names that the person may write here, for the dialog; and whether he may make more."""
    actor = reader_of(request)
    sealed = is_sealed()
    return {
        "sealed": sealed,
        "may_make_secrets": not sealed and policy.allowed_free(actor, "secure", place),
        "secrets": [
            {
                "name": each.slug,
                "place": str(each.environment),
                "inherited": each.environment != place.environment,
            }
            for each in list_usable(actor=actor, place=place)
            if may_name(actor, each)
        ],
    }


def _text(actor: Actor, place: Place, published: Published | None) -> dict[str, Any]:
    """What the editor begins with."""
    draft = find_draft(actor=actor, place=place)
    if draft is not None:
        return {
            "content": draft.content,
            "format": draft.format,
            "base": draft.base_version,
            "message": draft.message,
            "extends": parse_canonical(draft.extends),
            "updated": draft.updated_at.timestamp(),
            "known": clock.rfc3339(draft.updated_at),
        }
    if published is None:
        starter = STARTER.format(service=place.service, environment=place.environment)
        return {
            "content": starter,
            "format": "yaml",
            "base": 0,
            "message": "",
            "extends": [],
            "updated": 0,
            "known": "",
        }
    return {
        "content": published.source,
        "format": published.format,
        "base": published.version,
        "message": "",
        "extends": published.extends,
        "updated": 0,
        "known": "",
    }


@require_POST
@guarded_page
def publish(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Publish the text; whatever is refused, the text stays as the person's draft."""
    place = place_of(request, service, environment)
    actor = actor_of(request)
    given = read_draft(request)
    try:
        source = sources.from_text(given.content, given.format, given.extends)
        outcome = publishing.publish(
            actor=actor,
            place=place,
            source=source,
            options=Options(
                message=given.message,
                base=Base(given.base_version),
                dependents=request.POST.get("dependents", "refuse"),
            ),
            draft=given,
        )
    except DomainError as error:
        try:
            drafts.save_draft(actor=actor, place=place, draft=given)
        except ConflictError as moved:
            return older(request, place, given, moved)
        if isinstance(error, ConflictError):
            return _stale(request, place, given, error)
        tell(request, error)
        return HttpResponseRedirect(address("config", place))
    if outcome.unchanged:
        messages.info(request, "Nothing has changed: no new version was made.")
    else:
        count = len(outcome.changes)
        more = followed(outcome.affected)
        messages.success(
            request, f"Published version {outcome.version} with {count} change(s).{more}"
        )
    return HttpResponseRedirect(address("config", place))


def followed(affected: Sequence[Affected]) -> str:
    """What the act did to others, in a sentence."""
    left = sum(bool(each.left) for each in affected)
    followed = len(affected) - left
    words = [
        f"{followed} other configuration(s) followed" if followed else "",
        f"{left} stayed as they were, outdated" if left else "",
    ]
    said = ", ".join(each for each in words if each)
    return f" {said}." if said else ""


def older(
    request: HttpRequest, place: Place, given: drafts.Draft, error: ConflictError
) -> HttpResponse:
    """Another page of the same person has a newer draft: which one is to be gone on with?"""
    newer = find_draft(actor=actor_of(request), place=place)
    difference = diff.unified(
        newer.content if newer else "", given.content, "newer draft", "this page"
    )
    answer = render(
        request,
        "portal/older.html",
        title="There is a newer draft of yours",
        place=place,
        error=error,
        given=given,
        extends=_spelled(given),
        draft=newer,
        difference=difference,
        tabs=tabs(request, place, "config"),
    )
    answer.status_code = 409
    return answer


def _stale(
    request: HttpRequest, place: Place, given: drafts.Draft, error: ConflictError
) -> HttpResponse:
    """What changed meanwhile, beside what was to be published."""
    live = find_live(actor=actor_of(request), place=place)
    mine = formats.parse(given.content, given.format).tree
    theirs = formats.parse(live.source, live.format).tree if live and live.source else {}
    answer = render(
        request,
        "portal/stale.html",
        title="Somebody published meanwhile",
        place=place,
        error=error,
        live=live,
        given=given,
        extends=_spelled(given),
        changes=list(map(shown, diff.changes(mine, theirs, merge_keys_of(place)))),
        conflicts=[
            sides_of(clash) for clash in cast("list[Any]", error.extra.get("conflicts", []))
        ],
        tabs=tabs(request, place, "config"),
    )
    answer.status_code = 409
    return answer


def sides_of(clash: dict[str, Any]) -> dict[str, Any]:
    """A conflict with its three values as they are shown, one's own first."""
    sides = [
        {"name": name, "absent": name not in clash, "value": canonical(clash.get(name))}
        for name in ("ours", "theirs", "base")
    ]
    return {"pointer": clash["pointer"], "sides": sides}


@require_POST
@answers_json
def draft(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Keep or discard the draft."""
    place = place_of(request, service, environment)
    if request.POST.get("discard"):
        drafts.discard_draft(actor=actor_of(request), place=place)
        return HttpResponseRedirect(address("config", place))
    if request.POST.get("merge"):
        return _merge(request, place)
    if request.POST.get("rebase"):
        given = read_draft(request)
        drafts.save_draft(actor=actor_of(request), place=place, draft=given, force=True)
        return HttpResponseRedirect(address("config", place))
    change = drafts.save_draft(actor=actor_of(request), place=place, draft=read_draft(request))
    return JsonResponse({"known": clock.rfc3339(change.updated_at)})


def _merge(request: HttpRequest, place: Place) -> HttpResponse:
    """Theirs into one's own text, by what was chosen; back to the text, to look and to publish."""
    given = read_draft(request)
    prefix = "choice:"
    choices = {
        name.removeprefix(prefix): str(side)
        for name, side in request.POST.items()
        if name.startswith(prefix)
    }
    try:
        merge_draft(actor=actor_of(request), place=place, draft=given, choices=choices)
    except ConflictError as error:
        return _stale(request, place, given, error)
    messages.success(request, "Both changes are in your text now: look at it, and publish.")
    return HttpResponseRedirect(address("config", place))


def _spelled(given: drafts.Draft) -> list[str]:
    """The templates of a draft, as a form sends them again."""
    return [extending.spelled(each) for each in check_kept(given.extends or [])]


def read_draft(request: HttpRequest) -> drafts.Draft:
    """What the form holds."""
    base = values.whole(request.POST.get("base_version", "0"))
    if base is None or base >= MAX_VERSION:
        raise MalformedError("The base version is a number.")
    return drafts.Draft(
        content=request.POST.get("content", "").replace("\r\n", "\n"),
        format=request.POST.get("format", "yaml"),
        extends=extending.read(request.POST.getlist("extends")),
        base_version=base,
        message=request.POST.get("message", ""),
        page=request.POST.get("page", ""),
        known=request.POST.get("known", ""),
    )


@require_POST
@answers_json
def convert(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The text in another format."""
    place_of(request, service, environment)
    wanted = request.POST.get("to", "yaml")
    given = request.POST.get("format", "yaml")
    if wanted not in formats.FORMATS or given not in formats.FORMATS:
        raise invalid("/format", "format", "There is no such format.")
    tree = formats.parse(request.POST.get("content", ""), given).tree
    try:
        return JsonResponse({"content": formats.render(tree, wanted)})
    except UnrepresentableError as error:
        return JsonResponse({"detail": error.detail, "code": error.code}, status=422)


@guarded_page
def use(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The lines that fetch this configuration, and a button that makes a token for them."""
    place = place_of(request, service, environment, "read")
    actor = actor_of(request)
    token = make_reader_token(actor=actor, place=place) if request.method == "POST" else ""
    key = _some_key(find_live(actor=actor, place=place))
    return render(
        request,
        "portal/use.html",
        title=f"{service} · {environment}",
        place=place,
        base=request.build_absolute_uri(get_script_prefix()).rstrip("/"),
        token=token,
        account=reader_name(place),
        may_make=may_make_reader(actor, place),
        key=key,
        key_in_python=json.dumps(key, ensure_ascii=False),
        tabs=tabs(request, place, "config-use"),
    )


def _some_key(published: Published | None) -> str:
    """A key of what the actor sees, for lines that he may try."""
    tree = published.tree if published and not published.row.retired else {}
    found = (path for path, _value in paths.leaves(tree) if path and path[-1] not in OPAQUE)
    return next(map(paths.format_path, found), SOME_KEY)

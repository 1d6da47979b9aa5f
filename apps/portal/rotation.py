"""Rotation of a secret: how and when, one now, and how the last ones went."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.access import policy
from apps.access.policy import Place
from apps.engine import values
from apps.engine.errors import DomainError
from apps.engine.values import Tree, parse_canonical
from apps.portal.shared import actor_of, address, place_of, render, tabs, tell
from apps.portal.shared import page as guarded_page
from apps.vault import runs, schedules, selectors, services
from apps.vault.connections import list_usable_connections
from apps.vault.models import Secret
from apps.vault.rotators import ROTATORS
from apps.vault.rotators.base import Option, Rotator
from apps.vault.selectors import key_of

SHOWN_RUNS = 30
FIRST = "password"


@guarded_page
def page(request: HttpRequest, service: str, environment: str, name: str) -> HttpResponse:
    """The settings of a secret's rotation, and its rotations."""
    place = place_of(request, service, environment)
    actor = actor_of(request)
    secret = selectors.get_secret(actor=actor, place=place, name=name)
    if request.method == "POST":
        return _act(request, place, secret)
    may_write = policy.allowed(actor, "secure", place, [key_of(secret.slug)])
    rotation = schedules.find_rotation(secret)
    chosen = ROTATORS.get(request.GET.get("rotator", rotation.rotator if rotation else FIRST))
    rotator = chosen or ROTATORS[FIRST]
    return render(
        request,
        "portal/rotation.html",
        title=f"{service} · {environment}",
        place=place,
        secret=secret,
        may_write=may_write,
        rotators=ROTATORS.values(),
        rotator=rotator,
        fields=_fields(rotator, rotation),
        connections=[
            each
            for each in list_usable_connections(actor=actor, place=place)
            if each.kind == rotator.needs
        ]
        if rotator.needs
        else [],
        runs=runs.list_rotation_runs(secret)[:SHOWN_RUNS],
        tabs=tabs(request, place, "config-secrets"),
        **summary(secret),
    )


def summary(secret: Secret) -> dict[str, Any]:
    """What the secret's own page says of its rotation."""
    rotation = schedules.find_rotation(secret)
    rotator = ROTATORS.get(rotation.rotator) if rotation else None
    return {
        "rotation": rotation,
        "rotation_title": rotator.title if rotator else "An unknown rotator",
        "alternates": rotator is not None and rotator.alternates,
        "status": runs.status_of(secret),
    }


def _fields(rotator: Rotator, rotation: Any) -> list[dict[str, Any]]:
    """The rotator's settings for the form, as they are now or by default."""
    own = rotation is not None and rotation.rotator == rotator.name
    now = parse_canonical(rotation.options) if own else {}
    return [_field(each, now.get(each.name, each.default)) for each in rotator.options]


def _field(option: Option, value: Any) -> dict[str, Any]:
    shown = "\n".join(value or []) if option.kind == "names" else value
    chosen = value if option.kind == "choices" else [value]
    choices = [{"value": each, "chosen": each in (chosen or [])} for each in option.choices]
    return {"option": option, "value": shown, "choices": choices}


def _act(request: HttpRequest, place: Place, secret: Secret) -> HttpResponse:
    actor, act = actor_of(request), request.POST.get("act")
    here = address("config-secret-rotation", place, secret.slug)
    try:
        if act in ("rotate", "force"):
            schedules.begin_rotation(actor=actor, secret=secret, force=act == "force")
            messages.success(request, f"The rotation of {secret.slug} has begun.")
        elif act == "remove":
            services.update_secret(actor=actor, secret=secret, changes={"rotation": None})
            messages.success(request, f"{secret.slug} does not rotate any more.")
        else:
            changes = {"rotation": _given(request)}
            services.update_secret(actor=actor, secret=secret, changes=changes)
            messages.success(request, f"The rotation of {secret.slug} is set.")
    except DomainError as error:
        tell(request, error)
        if act == "save":
            here = f"{here}?rotator={request.POST.get('rotator', '')}"
    return HttpResponseRedirect(here)


def _given(request: HttpRequest) -> dict[str, Tree]:
    """The settings as the form has them; what is left empty has its default."""
    name = request.POST.get("rotator", "")
    given: dict[str, Tree] = {"rotator": name}
    if request.POST.get("connection"):
        given["connection"] = request.POST["connection"]
    own = ROTATORS[name].options if name in ROTATORS else ()
    for option in (schedules.EVERY, schedules.KEEP, *own):
        value = _read(option, request)
        if value is not None:
            given[option.name] = value
    return given


def _read(option: Option, request: HttpRequest) -> Tree:
    text = request.POST.get(option.name, "").strip()
    if option.kind == "choices":
        return [*request.POST.getlist(option.name)]
    if option.kind == "names":
        return [*text.replace(",", "\n").split()]
    if option.kind == "choice" and text:
        return next((each for each in option.choices if str(each) == text), text)
    if option.kind == "number" and text:
        number = values.whole(text)
        return text if number is None else number
    return text if text or option.kind == "text" else None

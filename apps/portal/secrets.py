"""Secrets: lists without values, writing them, and showing one to whoever presses Reveal."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.places import list_environments, list_services
from apps.configs.services.replacing import make_secret_of
from apps.core.actor import Actor
from apps.engine import formats, values
from apps.engine.errors import DomainError, MalformedError, NotFoundError, invalid
from apps.engine.values import Tree
from apps.portal import rotation
from apps.portal.addresses import may_ask, place_url
from apps.portal.shared import (
    actor_of,
    address,
    answers_json,
    place_of,
    reader_of,
    render,
    tabs,
    tell,
)
from apps.portal.shared import page as guarded_page
from apps.vault import selectors, services
from apps.vault.models import Secret
from apps.vault.selectors import key_of

PAGE = 50
SHOWN_USERS = 3
MAX_VERSION = 2**31
ENDING = "being ended: it is taken back where it was used, and then destroyed"


@guarded_page
def overall(request: HttpRequest) -> HttpResponse:
    """Every secret that the person may know of."""
    actor = reader_of(request)
    asked = {name: request.GET.get(name, "").strip() for name in ("service", "environment", "name")}
    found = selectors.list_secrets(actor=actor)
    if asked["service"]:
        found = found.filter(service__slug=asked["service"])
    if asked["environment"]:
        found = found.filter(environment__slug=asked["environment"])
    if asked["name"]:
        found = found.filter(slug__icontains=asked["name"])
    paged = Paginator(found, PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "portal/secrets.html",
        title="Secrets",
        rows=_rows(actor, list(paged), None),
        page=paged,
        asked=asked,
        services=list_services(actor=actor),
        environments=list_environments(actor=actor),
        sealed=selectors.is_sealed(),
    )


@sensitive_post_parameters("value")
@guarded_page
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The secrets that a configuration can name, and making one."""
    place = place_of(request, service, environment)
    actor = actor_of(request)
    given = {name: request.POST.get(name, "") for name in ("name", "description")}
    refused = False
    if request.method == "POST":
        try:
            _create(request, place)
            return HttpResponseRedirect(address("config-secret", place, given["name"]))
        except DomainError as error:
            tell(request, error)
            refused = True
    answer = render(
        request,
        "portal/place_secrets.html",
        title=f"{service} · {environment}",
        place=place,
        rows=_rows(reader_of(request), selectors.list_usable(actor=actor, place=place), place),
        given=given,
        refused=refused,
        may_write=policy.allowed_free(actor, "secure", place),
        sealed=selectors.is_sealed(),
        tabs=tabs(request, place, "config-secrets"),
    )
    answer.status_code = 422 if refused else 200
    return answer


@sensitive_post_parameters("value")
@require_POST
@answers_json
def create_named(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Make a secret from the editor's dialog; the answer has its name."""
    made = _create(request, place_of(request, service, environment))
    return JsonResponse({"name": made.slug, "place": str(made.environment)}, status=201)


@sensitive_post_parameters("content")
@require_POST
@answers_json
def make_of_text(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """Make a secret of a value in the editor's text; the answer has the text that names it."""
    place = place_of(request, service, environment)
    done = make_secret_of(
        actor=actor_of(request),
        place=place,
        content=request.POST.get("content", "").replace("\r\n", "\n"),
        format_name=request.POST.get("format", ""),
        pointer=request.POST.get("pointer", ""),
        name=request.POST.get("name", "").strip(),
    )
    data = {
        "name": done.secret.slug,
        "place": str(done.secret.environment),
        "content": done.content,
        "still": done.still,
    }
    return JsonResponse(data, status=201, headers={"Cache-Control": "no-store, private"})


def _create(request: HttpRequest, place: Place) -> Secret:
    return services.create_secret(
        actor=actor_of(request),
        place=place,
        slug=request.POST.get("name", ""),
        value=_value(request),
        description=request.POST.get("description", ""),
    )


def _value(request: HttpRequest) -> Tree:
    """The value that was sent: text, or an object where the form says so."""
    text = request.POST.get("value", "").replace("\r\n", "\n")
    if not request.POST.get("is_object"):
        return text
    try:
        return formats.parse(text, "json").tree
    except DomainError:
        raise invalid("/value", "type", "The value is not a JSON object.") from None


@sensitive_post_parameters("value")
@guarded_page
def one(request: HttpRequest, service: str, environment: str, name: str) -> HttpResponse:
    """A secret without its value: its versions, its users; a new value, deleting it."""
    place = place_of(request, service, environment)
    actor = actor_of(request)
    secret = selectors.get_secret(actor=actor, place=place, name=name)
    if request.method == "POST":
        return _change(request, place, secret)
    keys = [key_of(secret.slug)]
    return render(
        request,
        "portal/secret.html",
        title=f"{service} · {environment}",
        place=place,
        secret=secret,
        versions=[_version(each) for each in selectors.list_versions(secret)],
        may_reveal=policy.allowed(actor, "reveal", place, keys),
        may_write=policy.allowed(actor, "secure", place, keys),
        sealed=selectors.is_sealed(),
        rights_url=place_url(place, keys[0]) if may_ask(actor, place) else "",
        tabs=tabs(request, place, "config-secrets"),
        **rotation.summary(secret),
        **_seen(reader_of(request), selectors.list_users(secret)),
    )


def _change(request: HttpRequest, place: Place, secret: Secret) -> HttpResponse:
    """A new value, the end of a version or of the secret; what is refused is shown, no value is."""
    actor, act = actor_of(request), request.POST.get("act")
    here = HttpResponseRedirect(address("config-secret", place, secret.slug))
    try:
        if act == "delete":
            services.delete_secret(actor=actor, secret=secret)
            messages.success(request, f"{secret.slug} is deleted, and its keys are destroyed.")
            return HttpResponseRedirect(address("config-secrets", place))
        if act == "destroy":
            version = _find_version(request, secret)
            done = services.destroy_version(actor=actor, version=version)
            how = "destroyed for good" if done else ENDING
            messages.success(request, f"Version {version.number} is {how}.")
        else:
            made = services.write_secret(actor=actor, secret=secret, value=_value(request))
            messages.success(request, f"Version {made.number} is current.")
    except DomainError as error:
        tell(request, error)
    return here


def _find_version(request: HttpRequest, secret: Secret) -> Any:
    found = selectors.list_versions(secret).filter(number=_number(request)).first()
    if found is None:
        raise NotFoundError("There is no such version.")
    return found


def _number(request: HttpRequest) -> int:
    number = values.whole(request.POST.get("version", ""))
    if number is None or number >= MAX_VERSION:
        raise MalformedError("The version is a number.")
    return number


@require_POST
@answers_json
def reveal(request: HttpRequest, service: str, environment: str, name: str) -> HttpResponse:
    """One version's value, once the ledger says that the person was given it."""
    place = place_of(request, service, environment)
    actor = actor_of(request)
    secret = selectors.get_secret(actor=actor, place=place, name=name)
    number, value = services.reveal(actor=actor, secret=secret, number=_number(request))
    text = value if isinstance(value, str) else formats.render(value, "json")
    return JsonResponse(
        {"version": number, "text": text}, headers={"Cache-Control": "no-store, private"}
    )


def _rows(actor: Actor, secrets: list[Secret], place: Place | None) -> list[dict[str, Any]]:
    """What a list shows of secrets, with the place that each is of."""
    users = selectors.users_of(secrets)
    rows = []
    for secret in selectors.with_stages(secrets):
        stages = list(secret.stages.all())
        current = next((each.version for each in stages if each.stage == "current"), None)
        own = selectors.place_of(secret)
        rows.append(
            {
                "secret": secret,
                "url": address("config-secret", own, secret.slug),
                "inherited": place is not None and own != place,
                "stages": stages,
                "current": current,
                **_seen(actor, users[secret.pk]),
            }
        )
    return rows


def _seen(actor: Actor, users: list[Any]) -> dict[str, Any]:
    """The users of a secret that the person may know of, and how many others there are."""
    places = [Place(each.service, each.environment) for each in users]
    seen = [each for each in places if policy.sees(actor, each)]
    links = [{"title": str(each), "url": address("config", each)} for each in seen]
    return {
        "users": links,
        "first_users": links[:SHOWN_USERS],
        "more_users": max(0, len(links) - SHOWN_USERS) + len(places) - len(seen),
        "hidden_users": len(places) - len(seen),
    }


def _version(row: Any) -> dict[str, Any]:
    stages = sorted(each.stage for each in row.stages.all())
    return {
        "row": row,
        "stages": stages,
        "destroyed": not hasattr(row, "wrapped"),
        "may_end": "current" not in stages and "pending" not in stages,
    }

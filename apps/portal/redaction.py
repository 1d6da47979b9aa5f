"""Taking a value that was published by mistake out of all that is kept."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.access import policy
from apps.access.policy import Place
from apps.backups.selectors import list_holding
from apps.configs.selectors.configurations import Published, get_version
from apps.configs.selectors.redactions import list_redacted_by
from apps.configs.services.redacting import redact
from apps.engine import credentials, values
from apps.engine.errors import DomainError, ForbiddenError, MalformedError
from apps.engine.paths import format_path, leaves
from apps.portal.shared import actor_of, address, place_of, render, tabs, tell
from apps.portal.shared import page as guarded_page

MOST_KEYS = 2_000


@guarded_page
def page(request: HttpRequest, service: str, environment: str, number: int) -> HttpResponse:
    """Choosing a key of a version and saying why; then what was redacted."""
    place = place_of(request, service, environment, "secure")
    actor = actor_of(request)
    if request.method == "POST":
        done = _redact(request, place, number)
        if done is not None:
            return done
    revision = values.whole(request.GET.get("done", ""))
    published = _find_version(request, place, number)
    answer = render(
        request,
        "portal/redact.html",
        title=f"{service} · {environment}",
        place=place,
        number=number,
        keys=_keys(published) if published else [],
        given={name: request.POST.get(name, "") for name in ("key", "message")},
        versions=list_redacted_by(actor=actor, revision=revision) if revision else [],
        archives=list_holding(redaction=revision) if revision else [],
        tabs=tabs(request, place, "config-history"),
    )
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _find_version(request: HttpRequest, place: Place, number: int) -> Published | None:
    """The version when the person may read; without that he names the key himself."""
    actor = actor_of(request)
    if not policy.allowed(actor, "read", place):
        return None
    return get_version(actor=actor, place=place, number=number)


def _keys(published: Published) -> list[dict[str, Any]]:
    """The keys that hold something, those that look like credentials first; never their values."""
    suspected = {found.path: found.kind for found in credentials.find(published.tree)}
    rows = [
        {"key": format_path(path), "kind": suspected.get(path, "")}
        for path, leaf in leaves(published.tree)
        if path and leaf not in ("", {}, [], None, True, False) and "$redacted" not in path
    ]
    return sorted(rows, key=lambda row: not row["kind"])[:MOST_KEYS]


def _redact(request: HttpRequest, place: Place, number: int) -> HttpResponse | None:
    """Do it; ``None`` when it was refused."""
    key, message = request.POST.get("key", "").strip(), request.POST.get("message", "").strip()
    try:
        if not key:
            raise MalformedError("Choose the key whose value is to go.")
        if not message:
            raise MalformedError("Say why: the ledger keeps the reason.")
        if not request.POST.get("sure"):
            raise MalformedError("Confirm that the value is to go for good.")
        done = redact(actor=actor_of(request), place=place, number=number, key=key, message=message)
    except ForbiddenError:
        raise
    except DomainError as error:
        tell(request, error)
        return None
    messages.success(
        request,
        f"Redacted the value of {key}: {done.texts} text(s) and {done.drafts} draft(s) changed, "
        f"at revision {done.revision}.",
    )
    if done.templates:
        names = ", ".join(done.templates)
        messages.warning(
            request,
            f"These hold the value too, and keep it: {names}. Who has the right 'secure' "
            "on everything can take it out of them.",
        )
    return HttpResponseRedirect(f"{address('config-redact', place, number)}?done={done.revision}")

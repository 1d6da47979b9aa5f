"""``/config/{service}``: fetch, publish, patch, retire."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from django.http import HttpResponse
from rest_framework.exceptions import UnsupportedMediaType

from apps.access.policy import Place
from apps.api.base import (
    ApiView,
    answer_json,
    bad_member,
    content_type,
    read_body,
    read_flag,
    read_number,
)
from apps.api.documentation import CONFIG_GET, CONFIG_MANY, CONFIG_VALUE, WRITE, documented
from apps.api.negotiation import wanted_format
from apps.api.points import point_of
from apps.api.writing import (
    answer_outcome,
    environment_of,
    members_of_query,
    read_options,
    read_publication,
)
from apps.audit.checkpoints import current_signer
from apps.audit.selectors import Position, head
from apps.configs.secret_news import has_news
from apps.configs.selectors import configurations
from apps.configs.selectors.configurations import Published
from apps.configs.selectors.sections import env_sections
from apps.configs.services import publishing
from apps.core.actor import Actor
from apps.delivery.answers import (
    SOURCE,
    VALUE,
    Question,
    answer,
    coded_tag,
    envelope_members,
    etag,
)
from apps.delivery.coding import choose_coding, encode
from apps.delivery.keeping import asked_ahead_for, offer
from apps.delivery.points import require_reached
from apps.delivery.reads import note_given, note_read
from apps.delivery.requests import MAX_SERVICES, read_cursor, read_wait
from apps.delivery.revealing import Revealing
from apps.delivery.sharing import answer_shared
from apps.engine import formats, patching, paths
from apps.engine.errors import MalformedError, Problem
from apps.engine.signing import answer_header
from apps.rollouts.assigning import as_assigned, choices_of, note_served, read_unit
from apps.rollouts.services import note_instance
from apps.vault.disclosing import SealedAnswer

VARY = "Accept, Accept-Encoding, Authorization, Cookie, X-Config-Unit, X-Config-Instance"
PATCHES = {
    "application/merge-patch+json": patching.merge_patch,
    "application/json-patch+json": patching.json_patch,
}


class ConfigView(ApiView):
    """One configuration."""

    @documented("Fetch the live configuration", CONFIG_GET)
    def get(self, request: Any, service: str) -> HttpResponse:
        """The envelope, or the document alone as a file."""
        name, suffix = formats.split_suffix(service)
        return _fetch(self, name, lambda: _question(request, wanted_format(request, suffix)))

    @documented("Publish a new version", WRITE)
    def post(self, request: Any, service: str) -> HttpResponse:
        """Publish the body as the next version."""
        return self.once(
            lambda: self._publish(request, service),
            lambda: self._place(service, environment_of(request, read_publication(request)[1])),
        )

    def _publish(self, request: Any, service: str) -> HttpResponse:
        source, members = read_publication(request)
        place = self._place(service, environment_of(request, members))
        outcome = publishing.publish(
            actor=self.actor, place=place, source=source, options=read_options(request, members)
        )
        return answer_outcome(outcome, place, request.path)

    @documented("Change the composed document by a patch", WRITE)
    def patch(self, request: Any, service: str) -> HttpResponse:
        """Apply a JSON Merge Patch or JSON Patch; the rest of the source stays as written."""
        kind = content_type(request)
        if kind not in PATCHES:
            raise UnsupportedMediaType(kind)
        change = formats.parse(read_body(request), "json").tree
        if kind == "application/merge-patch+json" and not isinstance(change, dict):
            message = "A merge patch of a configuration is an object."
            raise MalformedError(message, [Problem("", "type", message, 1, 1)])
        members = members_of_query(request)
        place = self._place(service, environment_of(request, members))
        outcome = publishing.patch(
            actor=self.actor,
            place=place,
            apply=lambda tree: PATCHES[kind](tree, change),
            options=read_options(request, members),
        )
        return answer_outcome(outcome, place, request.path)

    @documented("Retire the configuration", WRITE)
    def delete(self, request: Any, service: str) -> HttpResponse:
        """Publish a version without content."""
        members = members_of_query(request)
        place = self._place(service, environment_of(request, members))
        outcome = publishing.retire(
            actor=self.actor, place=place, options=read_options(request, members)
        )
        return answer_outcome(outcome, place, request.path)

    def _place(self, service: str, environment: str | None) -> Place:
        return configurations.resolve_place(
            actor=self.actor, service=service, environment=environment, verb="publish"
        )


class ConfigValueView(ApiView):
    """One value of a configuration."""

    @documented("Fetch one value", CONFIG_VALUE)
    def get(self, request: Any, service: str) -> HttpResponse:
        """Text bare, everything else as JSON."""
        key = request.GET.get("key")
        if not key:
            raise bad_member("key", "Name the value: ?key=settings.timeout.")
        paths.parse_path(key)
        return _fetch(self, service, lambda: Question(VALUE, "", (key,)))


class ConfigsView(ApiView):
    """Several configurations at once."""

    @documented("Fetch several configurations as of one revision", CONFIG_MANY)
    def get(self, request: Any) -> HttpResponse:
        """``{revision, epoch, results}``; one that is missing or hidden makes the whole 404."""
        names = check_names(request.GET.getlist("service"))
        if read_flag(request.GET.get("reveal"), "reveal"):
            raise bad_member("reveal", "Secrets are revealed for one configuration at a time.")
        reached = check_revision(request)
        point = point_of(request)
        together = list_as_of(
            actor=self.actor,
            services=names,
            environment=request.GET.get("environment"),
            revision=point.revision if point else reached.revision,
        )
        for place, one in together:
            _note_instance(self, place, one)
        found = [one for _place, one in together]
        no_news = _no_news(request, found, reached)
        if no_news is not None:
            return no_news
        found = [assigned(self, one) for one in found]
        for one in found:
            note_served(one, unit_of(request))
        if asked_ahead_for(_scope_of(request)) is None:
            note_given(actor=self.actor, given=found)
        results = [{**envelope_members(each, each.text), "config": each.tree} for each in found]
        data = {"epoch": reached.epoch, "revision": reached.revision, "results": results}
        response = answer_json(data, 200, _headers(reached))
        if not unit_of(request):
            offer(_scope_of(request), actor=self.actor, given=found)
        return response


def _fetch(view: ApiView, service: str, ask: Callable[[], Question]) -> HttpResponse:
    """One configuration, or nothing new; ``ask`` reads the question, once the place may be read."""
    request: Any = view.request
    reached = check_revision(request)
    place = configurations.resolve_place(
        actor=view.actor,
        service=service,
        environment=request.GET.get("environment"),
        verb="read",
    )
    question = ask()
    published = _find(view.actor, place, request)
    _note_instance(view, place, published)
    no_news = _no_news(request, [published], reached)
    if question.view != SOURCE:
        published = assigned(view, published)
    if no_news is not None:
        return _with(no_news, _tags(request, place, published, question))
    response, sealed = serve(view, place, published, question, reached)
    if asked_ahead_for(_scope_of(request)) is None:
        note_read(actor=view.actor, place=place, version=published.version, keys=question.keys)
    note_served(published, unit_of(request))
    offer(
        _scope_of(request),
        actor=view.actor,
        given=[published],
        keys=question.keys,
        sealed=sealed,
        choices=partial(choices_of, published) if unit_of(request) else None,
    )
    return response


def _scope_of(request: Any) -> Any:
    """The ASGI scope that the request came with, if it did."""
    return request.META.get("asgi.scope")


def _note_instance(view: ApiView, place: Place, published: Published) -> None:
    """Remember which instance fetches, where the request names one."""
    name = view.request.headers.get("X-Config-Instance")
    if name is not None:
        note_instance(actor=view.actor, place=place, name=name, version=published.version)


def assigned(view: ApiView, published: Published) -> Published:
    """What is live, in the variant of the unit that the request names; else the same.

    The past is served as it was: variants are laid over what is live.
    """
    request: Any = view.request
    unit = unit_of(request)
    if not unit or request.GET.get("version") or request.GET.get("at"):
        return published
    instance = request.headers.get("X-Config-Instance", "")
    return as_assigned(actor=view.actor, published=published, unit=unit, instance=instance)


def unit_of(request: Any) -> str:
    """The unit that a request names, or nothing."""
    return read_unit(request.headers.get("X-Config-Unit"), request.GET.get("unit"))


def check_names(names: list[str]) -> list[str]:
    """The same. Raises :class:`MalformedError` for none, and for too many services."""
    if not 0 < len(names) <= MAX_SERVICES:
        raise bad_member("service", f"Name 1 to {MAX_SERVICES} services: ?service=a&service=b.")
    return names


def list_as_of(
    *, actor: Actor, services: list[str], environment: str | None, revision: int
) -> list[tuple[Place, Published]]:
    """What was live of several services as of a revision, with the places."""
    found = []
    for name in services:
        place = configurations.resolve_place(
            actor=actor, service=name, environment=environment, verb="read"
        )
        found.append((place, configurations.get_as_of(actor=actor, place=place, revision=revision)))
    return found


def check_revision(request: Any) -> Position:
    """The ledger's end, read before the document; holds ``min_revision`` against it.

    The waiting has been done before Django. Raises :class:`ConflictError` (code ``epoch``) for
    a revision of another epoch, or above the ledger's head.
    """
    reached = head()
    needed = read_cursor(request.GET.get("min_revision"), "min_revision")
    if needed is not None:
        require_reached(needed, reached)
    return reached


def serve(
    view: ApiView, place: Place, published: Published, question: Question, reached: Position
) -> tuple[HttpResponse, SealedAnswer | None]:
    """The answer about a version, or 304 when the client has it.

    With ``reveal=true`` the values of its secrets are in it: nothing may keep it but sealed, as it is
    given beside it, and it is not compressed. A client that has the same in another coding that it
    may be sent has it.
    """
    request: Any = view.request
    question = _of_sections(request, place, published, question)
    revealing = None
    headers = _headers(reached)
    if read_flag(request.GET.get("reveal"), "reveal"):
        if question.view == SOURCE:
            raise bad_member("reveal", "A source has no values of secrets in it.")
        revealing = Revealing(actor=view.actor, place=place, published=published, question=question)
        question = revealing.question
        headers["Cache-Control"] = "no-store"
    coding = "" if revealing else choose_coding(request.headers.get("Accept-Encoding", ""))
    tag = etag(published, question)
    headers |= {"ETag": tag, "X-Config-Version": str(published.version)}
    known = _known_of(request, [coded_tag(tag, coding), tag])
    if known is not None:
        return _with(HttpResponse(status=304), {**headers, "ETag": known}), None
    sealed = None
    if revealing is None:
        made = answer_shared(published, question)
    else:
        made, sealed = revealing.answer(partial(answer, published, question))
    coded = encode(made.body, coding) if coding else None
    if coded is not None:
        headers |= {"Content-Encoding": coding, "ETag": coded_tag(tag, coding)}
    if revealing is None:
        headers["X-Config-Signature"] = _signature(published, question, reached, made.body)
    response = HttpResponse(coded or made.body, content_type=made.media_type)
    return _with(response, headers), sealed


def _of_sections(request: Any, place: Place, published: Published, question: Question) -> Question:
    """The question, of which sections where it asks for environment variables."""
    if question.format != "env" or place.service is None:
        return question
    found = env_sections(place.service, published.tree, point_of(request))
    return replace(question, env_sections=found)


def _tags(request: Any, place: Place, published: Published, question: Question) -> dict[str, str]:
    """What a client that sent a tag may know its copy by (RFC 9110, 15.4.5), where nothing is revealed."""
    if "If-None-Match" not in request.headers or read_flag(request.GET.get("reveal"), "reveal"):
        return {}
    tag = etag(published, _of_sections(request, place, published, question))
    coding = choose_coding(request.headers.get("Accept-Encoding", ""))
    known = _known_of(request, [coded_tag(tag, coding), tag])
    return {"ETag": known or tag, "X-Config-Version": str(published.version)}


def _with(response: HttpResponse, headers: dict[str, str]) -> HttpResponse:
    for name, value in headers.items():
        response[name] = value
    return response


def _signature(published: Published, question: Question, reached: Position, body: bytes) -> str:
    """The answer's signature; ``revision`` is the one at which the version became live."""
    names = (
        reached.epoch,
        published.service,
        published.environment,
        str(published.version),
        question.form,
    )
    return answer_header(current_signer(), names=names, revision=published.revision, body=body)


def _headers(reached: Position) -> dict[str, str]:
    return {
        "X-Config-Revision": str(reached.revision),
        "X-Config-Epoch": reached.epoch,
        "Cache-Control": "private, no-cache",
        "Vary": VARY,
    }


def _known_of(request: Any, tags: list[str]) -> str | None:
    """The first of ``tags`` that the client has (for ``*`` the last), if it has one."""
    header = request.headers.get("If-None-Match", "")
    known = [each.strip().removeprefix("W/") for each in header.split(",")]
    return next((tag for tag in tags if tag in known), tags[-1] if "*" in known else None)


def _question(request: Any, format_name: str) -> Question:
    view = request.GET.get("view", "")
    if view not in ("", SOURCE):
        raise bad_member("view", "The only other view is 'source'.")
    keys = tuple(request.GET.getlist("key"))
    paths.parse_globs(keys)
    if view == SOURCE:
        return Question(SOURCE)
    return Question("envelope", format_name, keys, request.GET.get("section", ""))


def _find(actor: Any, place: Place, request: Any) -> Published:
    number = read_number(request.GET.get("version"), "version")
    point = point_of(request)
    if number is not None and point is not None:
        raise bad_member("at", "Give 'version' or 'at', not both.")
    if number is not None:
        found = configurations.get_version(actor=actor, place=place, number=number)
        return configurations.refuse_retired(found)
    return configurations.get_served(actor=actor, place=place, point=point)


def _no_news(request: Any, found: list[Published], reached: Position) -> HttpResponse | None:
    """The answer of a long poll when nothing is newer than its ``after``, else ``None``."""
    read_wait(request.GET.get("wait"))
    after = read_cursor(request.GET.get("after"))
    if after is None or after.epoch not in (None, reached.epoch):
        return None
    newest = max(each.revision for each in found)
    if after.revision > reached.revision or newest > after.revision:
        return None
    if any(has_news(each.service, each.environment, after=after.revision) for each in found):
        return None
    status = 304 if request.headers.get("If-None-Match") else 204
    return _with(HttpResponse(status=status), _headers(reached))

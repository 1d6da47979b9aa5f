"""A configuration's past: history, versions, diff, rollback, refresh; and validating."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpResponse

from apps.access.policy import Place
from apps.api.base import (
    ApiView,
    answer_json,
    bad_member,
    page_link,
    page_size,
    read_members,
    read_number,
    read_position,
    read_texts,
    read_time,
    typed,
)
from apps.api.documentation import DIFF, HISTORY, READERS, VERSION, WRITE, documented
from apps.api.writing import (
    answer_outcome,
    environment_of,
    present_affected,
    read_options,
    read_source,
)
from apps.backups.catalogue import Archive
from apps.backups.selectors import list_holding
from apps.configs.selectors import configurations
from apps.configs.selectors.comparing import Comparison, compare
from apps.configs.selectors.history import Entry, Filters, list_history
from apps.configs.services import publishing
from apps.configs.services.redacting import redact
from apps.configs.services.rollback import rollback
from apps.configs.services.validation import check_alone, validate
from apps.core import clock
from apps.delivery.answers import envelope_members
from apps.delivery.reads import Reader, list_readers, list_unread, note_given
from apps.engine import diff, formats, paths
from apps.engine.errors import NotFoundError, UnrepresentableError
from apps.engine.values import Tree, parse_canonical

ROLLBACK_MEMBERS = ("environment", "to_version", "at", "keys", "message", "base_version", "dry_run")
UNREAD_DAYS = 90
MAX_DAYS = 3_650
REDACT_MEMBERS = ("environment", "version", "key", "message")
REFRESH_MEMBERS = ("environment", "message", "dry_run", "base_version")
VALIDATE_MEMBERS = ("service", "environment", "config", "content", "format", "extends", "schema")
DIFF_FORMATS = ("changes", "patch", "unified")


class PlaceView(ApiView):
    """Base of the views of one configuration."""

    def place(self, service: str, verb: str, environment: str | None = None) -> Place:
        """The place that the address names, once the caller has ``verb`` there."""
        return configurations.resolve_place(
            actor=self.actor,
            service=service,
            environment=environment or self.request.GET.get("environment"),
            verb=verb,
        )

    def place_of_body(self, service: str, verb: str, known: tuple[str, ...]) -> Place:
        """The place that the address and the body name, once the caller has ``verb`` there."""
        members = read_members(self.request, known)
        return self.place(service, verb, environment_of(self.request, members))


def read_filters(asked: Mapping[str, str | None]) -> Filters:
    """What a history is narrowed to. Raises :class:`MalformedError`."""
    key = asked.get("key") or ""
    if key:
        paths.Glob(key)
    return Filters(
        key=key,
        author=asked.get("author") or "",
        since=read_time(asked.get("since"), "since"),
        until=read_time(asked.get("until"), "until"),
    )


def present_entry(entry: Entry) -> dict[str, Tree]:
    """A version as a history tells of it."""
    return {
        "version": entry.row.number,
        "revision": entry.row.revision,
        "published_at": clock.rfc3339(entry.row.published_at),
        "author": entry.row.author,
        "message": entry.row.message,
        "cause": entry.row.cause,
        "keys": entry.keys,
        "checksum": entry.checksum,
    }


class HistoryView(PlaceView):
    """The versions of a configuration."""

    @documented("List the versions, newest first", HISTORY)
    def get(self, request: Any, service: str) -> HttpResponse:
        """A page of the history. One that is narrowed looks through a part of a long history: it
        may hold fewer than asked for, or none, and `next` goes on all the same.
        """
        place = self.place(service, "list")
        filters = read_filters(request.GET)
        number, backwards = read_position(request)
        page = list_history(
            actor=self.actor,
            place=place,
            filters=filters,
            before=None if backwards else number,
            after=number if backwards else None,
            size=page_size(request),
        )
        results = [present_entry(entry) for entry in page.versions]
        back = None if page.previous_after is None else -page.previous_after
        links = {"next": page_link(request, page.next_before), "previous": page_link(request, back)}
        return answer_json({"results": results, **links})


class VersionView(PlaceView):
    """One version, whole."""

    @documented("Fetch one version with its source and lock", VERSION)
    def get(self, _request: Any, service: str, number: str) -> HttpResponse:
        """The envelope, what history says of it, the source and the lock."""
        place = self.place(service, "read")
        wanted = read_number(number, "version")
        if wanted is None:
            raise NotFoundError("There is no such version.")
        found = configurations.get_version(actor=self.actor, place=place, number=wanted)
        note_given(actor=self.actor, given=[found])
        members = {**envelope_members(found, found.text), **present_past(found)}
        members |= {"source": present_source(found), "lock": found.lock, "keys": found.keys}
        return answer_json({**members, "config": None if found.row.retired else found.tree})


def present_past(found: configurations.Published) -> dict[str, Tree]:
    """How a version came to be: what is known of it beside the envelope."""
    return {
        "author": found.author,
        "message": found.message,
        "cause": found.cause,
        "retired": found.row.retired,
        "restores": found.restores,
        "promotes": parse_canonical(found.row.promotes or "null"),
    }


def present_source(found: configurations.Published) -> dict[str, Tree]:
    """What the author wrote, as far as the reader sees it."""
    return {"content": found.source, "format": found.format, "extends": found.extends}


class DiffView(PlaceView):
    """What differs between two states of a configuration."""

    @documented("Compare two versions, environments or times", DIFF)
    def get(self, request: Any, service: str) -> HttpResponse:
        """As changes by key, as JSON Patch, or as text in the document's own format."""
        wanted = request.GET.get("format", "changes")
        if wanted not in DIFF_FORMATS:
            raise bad_member("format", f"'format' is one of {', '.join(DIFF_FORMATS)}.")
        place = self.place(service, "read")
        sides = (request.GET.get("from", ""), request.GET.get("to", "live"))
        if not sides[0]:
            raise bad_member("from", "Name what to compare: ?from=41&to=live.")
        found = compare(actor=self.actor, place=place, sides=sides)
        note_given(actor=self.actor, given=[found.old, found.new])
        old, new = found.old, found.new
        if wanted == "patch":
            return answer_json(found.patch())
        if wanted == "unified":
            text = render_unified(found)
            return HttpResponse(text.encode(), content_type="text/x-diff; charset=utf-8")
        changes = [change.as_dict() for change in found.changes()]
        return answer_json({"from": _side(old), "to": _side(new), "changes": changes})


def render_unified(found: Comparison) -> str:
    """What differs as text, in the format of the new side; where that cannot hold both, in that of
    the old one, else as JSON: the names of the sides say so then.
    """
    old, new = found.old, found.new
    names = [f"{each.service}@{each.environment} v{each.version}" for each in (old, new)]
    for chosen in (new.format, old.format):
        try:
            texts = [formats.render(each.tree, chosen) for each in (old, new)]
            break
        except UnrepresentableError:
            continue
    else:
        chosen = "json"
        texts = [formats.render(each.tree, chosen) for each in (old, new)]
    if chosen != new.format:
        names = [f"{name} as {chosen}" for name in names]
    return diff.unified(texts[0], texts[1], names[0], names[1])


def _side(published: configurations.Published) -> Tree:
    return {"environment": published.environment, "version": published.version}


class RollbackView(PlaceView):
    """Publishing again what an earlier version was."""

    @documented("Roll back to an earlier version", WRITE)
    def post(self, request: Any, service: str) -> HttpResponse:
        """Always a new version with exactly the old effective document."""
        return self.once(
            lambda: self._roll_back(request, service),
            lambda: self.place_of_body(service, "rollback", ROLLBACK_MEMBERS),
        )

    def _roll_back(self, request: Any, service: str) -> HttpResponse:
        members = read_members(request, ROLLBACK_MEMBERS)
        place = self.place(service, "rollback", environment_of(request, members))
        keys = read_texts(members, "keys")
        paths.parse_globs(keys)
        outcome = rollback(
            actor=self.actor,
            place=place,
            options=read_options(request, members),
            to_version=typed(members, "to_version", int),
            at=read_time(members.get("at"), "at"),
            keys=keys,
        )
        return answer_outcome(outcome, place, request.path.removesuffix("/rollback"))


class RedactView(PlaceView):
    """Taking a value out of all that is kept."""

    @documented("Redact a value from every version", WRITE)
    def post(self, request: Any, service: str) -> HttpResponse:
        """The value that ``version`` had at ``key``; refused while it is live."""
        return self.once(
            lambda: self._redact(request, service),
            lambda: self.place_of_body(service, "secure", REDACT_MEMBERS),
        )

    def _redact(self, request: Any, service: str) -> HttpResponse:
        members = read_members(request, REDACT_MEMBERS)
        number, key = typed(members, "version", int), typed(members, "key", str)
        if number is None or not key:
            raise bad_member("key", "Name the version and the key whose value is to go.")
        done = redact(
            actor=self.actor,
            place=self.place(service, "secure", environment_of(request, members)),
            number=number,
            key=key,
            message=typed(members, "message", str, ""),
        )
        told: dict[str, Tree] = {
            "texts": done.texts,
            "drafts": done.drafts,
            "revision": done.revision,
            "templates": list(done.templates),
            "archives": _names(list_holding(redaction=done.revision)),
        }
        return answer_json(told)


def _names(archives: Sequence[Archive] | None) -> Tree:
    return None if archives is None else [each.name for each in archives]


class ReadersView(PlaceView):
    """Who reads a configuration, or one key of it."""

    @documented("List who has read it, from the counters", READERS)
    def get(self, request: Any, service: str) -> HttpResponse:
        """``?key=`` narrows to those who were given that key."""
        place = self.place(service, "audit")
        found = list_readers(actor=self.actor, place=place, key=request.GET.get("key", ""))
        return answer_json({"results": [present_reader(each) for each in found]})


def present_reader(each: Reader) -> dict[str, Tree]:
    """Who has read, and how often."""
    return {
        "account": each.account,
        "first_at": clock.rfc3339(each.first_at),
        "last_at": clock.rfc3339(each.last_at),
        "count": each.count,
        "version": each.version,
    }


class UnreadView(PlaceView):
    """Which keys nobody reads."""

    @documented("List the live keys that nobody has read", READERS)
    def get(self, request: Any, service: str) -> HttpResponse:
        """For ``days`` (90 unless given) days, by the counters."""
        place = self.place(service, "audit")
        days = check_days(read_number(request.GET.get("days", str(UNREAD_DAYS)), "days") or 0)
        keys = list_unread(actor=self.actor, place=place, days=days)
        return answer_json({"days": days, "keys": list(keys)})


def check_days(days: int) -> int:
    """The same. Raises :class:`MalformedError` for what is no span that is counted."""
    if not 1 <= days <= MAX_DAYS:
        raise bad_member("days", f"'days' is 1 to {MAX_DAYS}.")
    return days


class RefreshView(PlaceView):
    """Composing afresh over today's layers."""

    @documented("Compose the live source afresh", WRITE)
    def post(self, request: Any, service: str) -> HttpResponse:
        """Take up newer templates and parents; ends being pinned or outdated."""
        return self.once(
            lambda: self._refresh(request, service),
            lambda: self.place_of_body(service, "publish", REFRESH_MEMBERS),
        )

    def _refresh(self, request: Any, service: str) -> HttpResponse:
        members = read_members(request, REFRESH_MEMBERS)
        place = self.place(service, "publish", environment_of(request, members))
        outcome = publishing.refresh(
            actor=self.actor, place=place, options=read_options(request, members)
        )
        return answer_outcome(outcome, place, request.path.removesuffix("/refresh"))


class ValidateView(ApiView):
    """Checking without storing."""

    @documented("Validate a configuration; nothing is stored", WRITE)
    def post(self, request: Any) -> HttpResponse:
        """200 for invalid too; 400 only for what is no request."""
        members = read_members(request, VALIDATE_MEMBERS)
        if "schema" in members:
            if "config" not in members:
                raise bad_member("config", "Send 'schema' and 'config'.")
            report = check_alone(members["schema"], members["config"])
        else:
            service = typed(members, "service", str, "")
            if not service:
                raise bad_member("service", "Name the 'service', or send 'schema' and 'config'.")
            place = configurations.resolve_place(
                actor=self.actor,
                service=service,
                environment=environment_of(request, members),
                verb="read",
            )
            report = validate(actor=self.actor, place=place, read=lambda: read_source(members))
        return answer_json(
            {
                "valid": not report.errors,
                "errors": [problem.as_dict() for problem in report.errors],
                "warnings": [problem.as_dict() for problem in report.warnings],
                "changes": [change.as_dict() for change in report.changes],
                "affected": present_affected(report.affected),
            }
        )

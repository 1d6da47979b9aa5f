"""What local processes may ask, and the answers: the contract's GET of a configuration."""

import hashlib
import json
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from configsvc_agent import formats
from configsvc_agent.errors import RenderError
from configsvc_agent.sections import dotenv_tree
from configsvc_agent.selecting import select
from configsvc_client import keys
from configsvc_client.events import Position
from configsvc_client.numbers import dumps
from configsvc_client.sections import ENVIRONMENT_VARIABLES
from configsvc_client.state import Snapshot

LONGEST_WAIT: Final = 60.0
VARY: Final = "Accept, Accept-Encoding, Authorization, Cookie, X-Config-Unit, X-Config-Instance"
_ELSEWHERE: Final = ("version", "at", "view")


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A problem (RFC 9457): a status, a stable code, and what to do."""

    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body and headers of an answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterator[bytes] | None = None
    """What is sent as it comes, in place of a body, until the connection ends."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request: of which configuration, in which form, and how long it waits for what."""

    service: str
    environment: str = ""
    form: str = ""
    value: bool = False
    section: str = ""
    patterns: tuple[str, ...] = ()
    revealed: bool = False
    after: Position | None = None
    wait: float = 0.0
    needed: Position | None = None
    etags: tuple[str, ...] = ()

    @classmethod
    def of(cls, target: str, headers: Mapping[str, str]) -> "Question":
        """Read a request's target and headers. Raises :class:`Refusal`."""
        parts = urllib.parse.urlsplit(target)
        query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
        one = {name: values[-1] for name, values in query.items()}
        service, form, value = _place(parts.path)
        _refuse_elsewhere(one, headers)
        return cls(
            service=service,
            environment=one.get("environment", ""),
            form=form or _form(one.get("format", ""), headers.get("Accept", "")),
            value=value,
            section=one.get("section", ""),
            patterns=tuple(query.get("key", [])),
            revealed=_flag(one.get("reveal", "")),
            after=_position(one.get("after", "")),
            wait=_seconds(one.get("wait", "")),
            needed=_position(one.get("min_revision", "")),
            etags=tuple(
                each.strip().removeprefix("W/")
                for each in headers.get("If-None-Match", "").split(",")
                if each.strip()
            ),
        )

    def etag(self, snapshot: Snapshot) -> str:
        """The entity tag of the answer: the server's, with what was asked where it is not all."""
        asked: list[Any] = [self.form, self.value, self.section, list(self.patterns)]
        if self.needs_sections and snapshot.env_sections:
            asked.append(list(snapshot.env_sections))
        if asked == ["", False, "", []]:
            return snapshot.etag
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
        return f'"{snapshot.etag.strip(chr(34))}-{digest}"'

    @property
    def needs_sections(self) -> bool:
        """Whether it matters which sections are environment variables."""
        return self.form == "env" and not (self.section or self.value)

    def is_known(self, snapshot: Snapshot) -> bool:
        """Whether who asks has the answer already."""
        return self.etag(snapshot) in self.etags or "*" in self.etags

    def answer(self, snapshot: Snapshot, plain: Snapshot) -> Reply:
        """The configuration in the form that is asked for; ``plain`` is it with its secrets hidden,
        which checksums are of. Raises :class:`Refusal`.
        """
        if self.value:
            return self._one(snapshot)
        patterns = [_pattern(each) for each in self.patterns]
        tree = snapshot.document
        if patterns:
            tree = select(tree, patterns)
        if not self.form:
            members = {**snapshot.envelope, "config": tree}
            if patterns and "checksum" in members:
                members["checksum"] = _checksum(select(plain.document, patterns))
            return Reply(200, dumps(members).encode(), _JSON)
        try:
            body = formats.render(self._chosen(tree, snapshot), self.form, revealed=self.revealed)
        except RenderError as error:
            raise Refusal(406, "unrepresentable", str(error)) from error
        return Reply(
            200, body, {"Content-Type": f"{formats.MEDIA_TYPES[self.form]}; charset=utf-8"}
        )

    def _chosen(self, tree: Any, snapshot: Snapshot) -> Any:
        """What of the document is in a file. Raises :class:`Refusal` and :class:`RenderError`."""
        if self.needs_sections:
            return dotenv_tree(tree, snapshot.env_sections)
        if not self.section:
            return tree
        if not isinstance(tree, dict) or self.section not in tree:
            raise Refusal(404, "not_found", "There is no such section.")
        return tree[self.section]

    def _one(self, snapshot: Snapshot) -> Reply:
        if len(self.patterns) != 1:
            raise Refusal(400, "malformed", "Give one key: ?key=settings.timeout.")
        try:
            found, value = keys.find(snapshot.document, keys.parse(self.patterns[0]))
        except ValueError as error:
            raise Refusal(400, "malformed", str(error)) from error
        if not found:
            raise Refusal(404, "not_found", "There is no such key.")
        if isinstance(value, str):
            return Reply(200, value.encode(), {"Content-Type": "text/plain; charset=utf-8"})
        return Reply(200, dumps(value).encode(), _JSON)


@dataclass(frozen=True, slots=True)
class StreamQuestion:
    """What a stream is to be about; no services: all that there are."""

    services: frozenset[str]
    environment: str
    with_config: bool
    after: Position | None

    @classmethod
    def of(cls, target: str, headers: Mapping[str, str]) -> "StreamQuestion":
        """Read a request's target and headers. Raises :class:`Refusal`."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query, keep_blank_values=True)
        one = {name: values[-1] for name, values in query.items()}
        _refuse_elsewhere(one, headers)
        if one.get("include", "") not in ("", "config"):
            raise Refusal(422, "invalid", "The only thing to include is 'config'.")
        return cls(
            services=frozenset(each.lower() for each in query.get("service", [])),
            environment=one.get("environment", ""),
            with_config=bool(one.get("include")),
            after=_position(headers.get("Last-Event-ID", "") or one.get("after", "")),
        )


def is_stream(target: str) -> bool:
    """Whether a request's target is the address of streams."""
    return urllib.parse.urlsplit(target).path.removeprefix("/api/v1") == "/stream"


def sections_asked(target: str) -> str:
    """The service whose sections a request's target asks for, as an agent does of another; else nothing."""
    path = urllib.parse.urlsplit(target).path.removeprefix("/api/v1")
    steps = [urllib.parse.unquote(step) for step in path.strip("/").split("/")]
    is_sections = len(steps) == 3 and (steps[0], steps[2]) == ("services", "sections")  # noqa: PLR2004 - /services/SERVICE/sections
    return steps[1] if is_sections else ""


def sections(keys: Sequence[str]) -> Reply:
    """The sections that are environment variables, as the server lists them."""
    found = [{"key": key, "type": ENVIRONMENT_VARIABLES} for key in keys]
    body = json.dumps({"results": found, "next": None, "previous": None})
    return Reply(200, body.encode(), {**_JSON, "Cache-Control": "private, no-cache"})


_JSON: Final = {"Content-Type": "application/json"}


def _checksum(tree: Any) -> str:
    return f"sha256:{hashlib.sha256(dumps(tree).encode()).hexdigest()}"


def problem(refusal: Refusal) -> Reply:
    """A refusal as problem+json."""
    members: dict[str, Any] = {"type": "about:blank", "title": refusal.code.replace("_", " ")}
    members |= {"status": refusal.status, "code": refusal.code, "detail": refusal.detail}
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    named = {name.replace("_", "-"): value for name, value in refusal.headers.items()}
    return Reply(refusal.status, json.dumps(members).encode(), {**headers, **named})


def _place(path: str) -> tuple[str, str, bool]:
    """The service, the format of its suffix, and whether one value is asked for."""
    path = path.removeprefix("/api/v1")
    steps = [urllib.parse.unquote(step) for step in path.strip("/").split("/")]
    is_value = len(steps) == 3 and steps[2] == "value"  # noqa: PLR2004 - /config/SERVICE/value
    if steps[0] != "config" or not (is_value or len(steps) == 2):  # noqa: PLR2004 - /config/SERVICE
        raise Refusal(
            404, "not_found", "This agent answers /config/SERVICE and /stream; ask the server."
        )
    stem, dot, suffix = steps[1].rpartition(".")
    if dot and suffix.lower() in formats.FORMATS and not is_value:
        return stem, suffix.lower(), False
    return steps[1], "", is_value


def _refuse_elsewhere(query: Mapping[str, str], headers: Mapping[str, str]) -> None:
    named = [name for name in _ELSEWHERE if name in query]
    if named:
        raise Refusal(
            400, "live_only", f"This agent has what is live alone: ask the server for '{named[0]}'."
        )
    if "unit" in query or headers.get("X-Config-Unit"):
        raise Refusal(
            400, "no_units", "This agent has no variants of experiments: ask the server for units."
        )


def _form(name: str, accepted: str) -> str:
    if name:
        if name not in formats.FORMATS:
            raise Refusal(406, "unknown_format", f"Ask for one of {', '.join(formats.FORMATS)}.")
        return name
    wanted = [each.partition(";")[0].strip().lower() for each in accepted.split(",")]
    types = {kind: form for form, kind in formats.MEDIA_TYPES.items() if form != "json"}
    if not accepted or any(each in ("application/json", "*/*", "application/*") for each in wanted):
        return ""
    found = [types[each] for each in wanted if each in types]
    if not found:
        raise Refusal(
            406, "not_acceptable", "Accept application/json, yaml, toml, xml or text/x-dotenv."
        )
    return found[0]


def _flag(text: str) -> bool:
    if text.lower() not in ("", "true", "false", "1", "0"):
        raise Refusal(400, "malformed", "'reveal' is true or false.")
    return text.lower() in ("true", "1")


def _position(text: str) -> Position | None:
    """``EPOCH-REVISION``; a bare number is of the present epoch, whose name is left empty."""
    if not text:
        return None
    try:
        if text.isascii() and text.isdigit():
            return Position("", int(text[:18]))
        return Position.parse(text)
    except ValueError as error:
        raise Refusal(400, "malformed", "A revision is a number, or EPOCH-NUMBER.") from error


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    whole, dot, rest = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and (not dot or rest.isdigit())):
        raise Refusal(400, "malformed", "'wait' is a number of seconds.")
    return min(float(text), LONGEST_WAIT)


def _pattern(text: str) -> keys.Pattern:
    try:
        return keys.Pattern(text)
    except ValueError as error:
        raise Refusal(400, "malformed", str(error)) from error

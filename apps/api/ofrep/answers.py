"""What OFREP sends for evaluations: pure functions of flags, context and time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apps.engine import formats
from apps.engine.errors import DomainError, MalformedError, Problem
from apps.engine.flags.conditions import Context
from apps.engine.flags.evaluation import DISABLED, FLAG_NOT_FOUND, MESSAGES, Evaluation
from apps.engine.values import Tree, canonical, compact
from apps.rollouts.flags import Found, ServiceFlags

MEDIA_TYPE: Final = "application/json"
TYPES: Final = {FLAG_NOT_FOUND: 404}
TARGETING_KEY: Final = "targetingKey"
INACTIVE_SECONDS: Final = 120
"""After so long in the background a client closes its event stream, as the protocol advises."""


class ContextError(MalformedError):
    """The context cannot be used. ``error_code`` is OpenFeature's."""

    error_code = "INVALID_CONTEXT"


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send; ``etag`` is empty where there is none."""

    status: int
    body: bytes
    etag: str = ""

    def is_known(self, if_none_match: str) -> bool:
        """Whether the client has it already (RFC 9110, section 13.1.2)."""
        tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
        return bool(self.etag) and (self.etag in tags or "*" in tags)


def read_context(body: bytes, now: datetime) -> Context:
    """The context of a request. Raises :class:`ContextError`, :class:`MalformedError`."""
    tree = formats.parse(body, "json").tree if body.strip() else {}
    if not isinstance(tree, dict):
        raise _bad("", "The body is a JSON object with a member 'context'.")
    return check_context(tree.get("context"), now)


def check_context(context: Tree, now: datetime) -> Context:
    """The context that was given, if any. Raises :class:`ContextError`."""
    if context is None:
        context = {}
    if not isinstance(context, dict):
        raise _bad("/context", "'context' is an object of attributes.")
    if not isinstance(context.get(TARGETING_KEY, ""), str):
        raise _bad(f"/context/{TARGETING_KEY}", "'targetingKey' is text.")
    return Context(context, now)


def _bad(pointer: str, message: str) -> ContextError:
    return ContextError(message, [Problem(pointer, "context", message)])


def error_members(error: DomainError, key: str | None = None) -> dict[str, Tree]:
    """OFREP's members of a refusal, which stand beside those of a problem."""
    code = getattr(error, "error_code", "")
    if not code:
        code = "PARSE_ERROR" if isinstance(error, MalformedError) else "GENERAL"
    named: dict[str, Tree] = {} if key is None else {"key": key}
    return {**named, "errorCode": code, "errorDetails": error.detail}


def single(flags: ServiceFlags | None, key: str, context: Context) -> Answer:
    """One flag: 200, or 404 and 400 with an error."""
    if flags is None:
        return Answer(404, _failure(key, FLAG_NOT_FOUND).encode())
    evaluation = flags.evaluate(key, context)
    status = TYPES.get(evaluation.error, 400) if evaluation.error else 200
    return Answer(status, text_of(flags, evaluation).encode())


def bulk(flags: ServiceFlags | None, context: Context, streams: Sequence[str] = ()) -> Answer:
    """All flags, those that cannot be evaluated with their errors.

    The entity tag covers what is answered of each flag, and the context; not the version, since most
    versions change no flag.
    """
    texts = [text_of(flags, flags.evaluate(key, context)) for key in flags] if flags else []
    joined = ",".join(texts)
    covered = canonical([dict(context.attributes), joined])
    etag = f'"{hashlib.sha256(covered.encode()).hexdigest()[:32]}"'
    metadata: dict[str, Tree] = {}
    if flags is not None:
        metadata = {
            "service": flags.service,
            "environment": flags.environment,
            "version": flags.version,
        }
    events: list[Tree] = [
        {"type": "sse", "url": url, "inactivityDelaySec": INACTIVE_SECONDS} for url in streams
    ]
    tail = compact({"metadata": metadata, "eventStreams": events})
    return Answer(200, f'{{"flags":[{joined}],{tail[1:]}'.encode(), etag)


def text_of(flags: ServiceFlags, evaluation: Evaluation) -> str:
    """An evaluation as JSON, remembered with the flags."""
    if evaluation.error:
        return _failure(evaluation.flag, evaluation.error)
    known = flags.answers.get(evaluation)
    if known is None:
        known = flags.answers[evaluation] = _text(flags, evaluation)
    return known


def _text(flags: ServiceFlags, evaluation: Evaluation) -> str:
    found = flags.keys[evaluation.flag]
    metadata: dict[str, Tree] = {"section": found.section}
    if evaluation.rule is not None:
        metadata["rule"] = evaluation.rule
    members = compact(
        {
            "key": evaluation.flag,
            "reason": evaluation.reason,
            "variant": evaluation.variant,
            "metadata": metadata,
        }
    )
    value = value_text(found, evaluation)
    return members if value is None else f'{members[:-1]},"value":{value}}}'


def value_text(found: Found, evaluation: Evaluation) -> str | None:
    """The value as JSON; ``None`` for a flag that is switched off, or cannot be evaluated."""
    if evaluation.error or evaluation.reason == DISABLED or found.definition is None:
        return None
    return found.definition.texts[evaluation.variant]


def _failure(key: str, error: str) -> str:
    return compact({"key": key, "errorCode": error, "errorDetails": MESSAGES[error]})

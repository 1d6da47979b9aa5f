"""What the OpenAPI schema says of each view: parameters, bodies, answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.text import slugify
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do next."},
        "code": {"type": "string", "description": "Stable; programs may rely on it."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "JSON Pointer (RFC 6901)"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "line": {"type": "integer"},
                    "column": {"type": "integer"},
                },
            },
        },
    },
}
TEXTS = {
    200: "Done",
    201: "Made",
    202: "Accepted",
    204: "No content",
    304: "Not modified",
    400: "The request cannot be read",
    401: "Credentials are needed",
    403: "A right is missing",
    404: "It does not exist, or the caller may not know that it does",
    405: "A browser alone may GET this",
    406: "The format cannot hold the document",
    409: "The base is stale",
    410: "The configuration is retired, or the value of the secret destroyed",
    412: "If-Match is stale, or the revision is not reached",
    413: "The body is too large",
    415: "Unsupported media type",
    422: "Not valid",
    428: "A base is needed",
    503: "The database is away, or the key of the secrets",
}
OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["service", "environment", "version", "revision", "checksum", "config"],
    "properties": {
        "service": {"type": "string"},
        "environment": {"type": "string"},
        "version": {"type": "integer"},
        "revision": {"type": "integer"},
        "checksum": {"type": "string"},
        "published_at": {"type": "string", "format": "date-time"},
        "config": OBJECT,
    },
}
COMMON = (400, 401, 403, 404)
PAST = (*COMMON, 409)
WRITING = (*COMMON, 409, 412, 413, 415, 422)


def text(name: str, description: str = "", *, many: bool = False) -> OpenApiParameter:
    """A query parameter of type text."""
    return OpenApiParameter(name, OpenApiTypes.STR, description=description, many=many)


def number(name: str, description: str = "") -> OpenApiParameter:
    """A query parameter that is a whole number."""
    return OpenApiParameter(name, OpenApiTypes.INT, description=description)


ENVIRONMENT_PARAMETER = text("environment", "Absent: the account's own, else the default one.")
PAGE = (number("page_size", "1 to 200"), text("cursor", "From 'next' of the page before."))


@dataclass(frozen=True, slots=True)
class Shape:
    """How a group of views is documented."""

    success: dict[int, dict[str, Any]] = field(default_factory=lambda: {200: OBJECT})
    failures: Sequence[int] = COMMON
    parameters: Sequence[OpenApiParameter] = ()
    body: bool = False


AT = text("at", "A time (RFC 3339) or a revision: the state after the last act by then.")
CONFIG_GET = Shape(
    {200: ENVELOPE, 204: {}, 304: {}},
    (*COMMON, 406, 409, 410, 412),
    (
        ENVIRONMENT_PARAMETER,
        number("version"),
        AT,
        text("key", "A glob; may be repeated.", many=True),
        text("view", "source: what was written."),
        text("format", "json, yaml, toml, xml, env or properties: the document alone."),
        text("section", "For env and properties: one section."),
        text("unit", "As the header X-Config-Unit: picks the variants of experiments."),
        text("reveal", "true: with the values of secrets, for those with that right on all."),
        text("after", "Long poll: REVISION or EPOCH-REVISION."),
        number("wait", "Seconds, at most 60."),
        text("min_revision", "Wait up to 5 s until this server has seen it."),
    ),
)
CONFIG_VALUE = Shape(
    {200: {}}, (*PAST, 410, 412), (ENVIRONMENT_PARAMETER, AT, text("key"), text("unit"))
)
CONFIG_MANY = Shape(
    {200: OBJECT},
    (*PAST, 410),
    (ENVIRONMENT_PARAMETER, AT, text("service", many=True), text("unit")),
)
WRITE = Shape({200: OBJECT, 201: OBJECT}, (*WRITING, 428), (ENVIRONMENT_PARAMETER,), body=True)
WRITE_ANYWHERE = Shape({200: OBJECT, 201: OBJECT}, WRITING, body=True)
HISTORY = Shape(
    parameters=(
        ENVIRONMENT_PARAMETER,
        text("key"),
        text("author"),
        text("since"),
        text("until"),
        *PAGE,
    )
)
VERSION = Shape({200: ENVELOPE}, COMMON, (ENVIRONMENT_PARAMETER,))
DIFF = Shape(
    {200: OBJECT},
    (*COMMON, 422),
    (ENVIRONMENT_PARAMETER, text("from"), text("to"), text("format", "changes, patch or unified")),
)
READERS = Shape(
    parameters=(
        ENVIRONMENT_PARAMETER,
        text("key", "one key, for readers"),
        text("days", "for unread: 90 unless given"),
    )
)
EXPLAIN = Shape(
    failures=PAST,
    parameters=(ENVIRONMENT_PARAMETER, AT, text("key", "a glob; repeat for more"), text("unit")),
)
ACROSS = Shape(failures=PAST, parameters=(text("key", "a glob; repeat for more", many=True), AT))
MATRIX = Shape(
    failures=PAST,
    parameters=(
        text("q", "in the service's name"),
        text("owner", "a group"),
        text("label", "NAME or NAME=VALUE"),
        AT,
        *PAGE,
    ),
)
DEPENDENCIES = Shape(failures=PAST, parameters=(ENVIRONMENT_PARAMETER, AT))
DEPENDENTS = DEPENDENCIES
GRAPH = Shape(
    failures=PAST,
    parameters=(
        ENVIRONMENT_PARAMETER,
        AT,
        number("steps", "1 to 3"),
        text("format", "json, mermaid or dot"),
    ),
)
LIST = Shape(parameters=PAGE)
LIST_AT = Shape(failures=PAST, parameters=(AT, *PAGE))
READ_AT = Shape(failures=PAST, parameters=(AT,))
SECRETS = Shape(failures=PAST, parameters=(text("service"), text("environment"), AT, *PAGE))
RULES = Shape(failures=PAST, parameters=(text("service"), AT, *PAGE))
SECRET_READ = Shape(failures=PAST, parameters=(ENVIRONMENT_PARAMETER, AT))
REVEAL = Shape({200: OBJECT}, (*WRITING, 410, 503), (ENVIRONMENT_PARAMETER,), body=True)
SECRET_VERSIONS = Shape(failures=PAST, parameters=(ENVIRONMENT_PARAMETER, AT, *PAGE))
ENVIRONMENT = SERVICE = SECTION = TEMPLATE = ACCOUNT = TOKEN = GRANT = KEY_RULE = ROLE = RULE = (
    SECRET
) = Shape({200: OBJECT, 201: OBJECT, 204: {}}, WRITING, body=True)
ROTATE = Shape({202: OBJECT}, WRITING, (ENVIRONMENT_PARAMETER,), body=True)
EVENTS = (
    text("actor"),
    text("action", "may end in *"),
    text("target"),
    text("key", "a configuration's key, and those inside of it"),
    text("since"),
    text("until"),
)
AUDIT = Shape(parameters=(*EVENTS, text("order", "asc: oldest first"), *PAGE))
AUDIT_EXPORT = Shape(parameters=(*EVENTS, text("format", "jsonl or csv")))
EXPORT = Shape({200: {}}, parameters=(text("service", "repeat"), text("environment", "repeat")))
IMPORT = Shape(
    {200: OBJECT},
    WRITING,
    (
        text("from", "tree, spring, consul, nacos, apollo, kubernetes or env"),
        text("environment", "of what names none"),
        text("map", "THERE:HERE; repeat"),
        text("file", "the name of a single file"),
        text("dry_run"),
        text("acknowledge", "true: although live configurations fail its sections and rules"),
    ),
    body=True,
)
AUDIT_CHECKPOINTS = Shape(parameters=PAGE)
AUDIT_FILE = Shape({200: {}})
CONSOLE = Shape({200: {}}, (400, 401, 405))
VERIFY = Shape({202: OBJECT}, COMMON)
STREAM = Shape(
    {200: {}},
    COMMON,
    (text("service", many=True), text("environment", "* for all"), text("after"), text("include")),
)
METRICS = Shape({200: {}}, (400, 401, 503))
OPEN = Shape({200: OBJECT}, (400,))
OFREP_SINGLE = Shape({200: OBJECT}, (*COMMON, 413, 415), (ENVIRONMENT_PARAMETER,), body=True)
OFREP_BULK = Shape({200: OBJECT, 304: {}}, (*COMMON, 413, 415), (ENVIRONMENT_PARAMETER,), body=True)
OFREP_EVENTS = Shape({200: {}}, COMMON, (text("ticket", "From eventStreams of an evaluation."),))
FLAGS = Shape(
    parameters=(text("service"), text("environment"), text("stale", "true: that could go"), *PAGE)
)
EXPERIMENTS = SECRETS
EXPERIMENT = Shape({200: OBJECT, 201: OBJECT, 204: {}}, WRITING, body=True)
OUTCOMES = Shape({200: OBJECT}, WRITING, body=True)
RESULTS = Shape()
BACKUP = Shape()
BACKUPS = Shape(parameters=(number("redaction", "the revision of an act of redaction"), *PAGE))
BACKUP_RUN = Shape({202: OBJECT}, WRITING, body=True)
PRUNING = Shape({200: OBJECT, 202: OBJECT}, WRITING, body=True)


GRAPHQL = Shape({200: OBJECT}, (400, 401, 413, 415), body=True)


def documented(summary: str, shape: Shape) -> Callable[[Any], Any]:
    """Describe a view method in the OpenAPI schema. One that takes no ``at`` refuses it:
    ``takes_at`` tells :class:`apps.api.base.ApiView`.
    """
    responses: dict[Any, Any] = {
        status: OpenApiResponse(body or None, description=TEXTS[status])
        for status, body in shape.success.items()
    }
    responses |= {
        (status, "application/problem+json"): OpenApiResponse(PROBLEM, description=TEXTS[status])
        for status in shape.failures
    }
    describe: Callable[[Any], Any] = extend_schema(
        operation_id=slugify(summary).replace("-", "_"),
        summary=summary,
        parameters=list(shape.parameters),
        responses=responses,
        request={"application/json": OBJECT} if shape.body else None,
    )

    def decorate(method: Any) -> Any:
        method.takes_at = AT in shape.parameters
        return describe(method)

    return decorate

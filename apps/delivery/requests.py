"""Who asks, and for what, in a raw ASGI scope: the questions that come before Django."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.http.cookie import parse_cookie

from apps.access import policy
from apps.access.policy import Place
from apps.access.selectors import authenticate_token
from apps.access.sessions import find_person
from apps.configs.selectors.configurations import resolve_environment
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.services import redeem_ticket
from apps.delivery.watch import Cursor, Interest
from apps.engine import values
from apps.engine.errors import (
    MalformedError,
    Problem,
    UnauthenticatedError,
    invalid,
)
from apps.registry.models import Configuration
from apps.registry.selectors import get_service
from apps.rollouts.assigning import check_unit, read_unit
from apps.rollouts.services import check_instance_name, note_watching

API_PREFIX = "/api/v1"
STREAMS = ("/stream", "/ws/config", "/ws/graphql")
MAX_SERVICES = 200
MAX_WAIT = 60
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_CREDENTIALS = frozenset({"token", "access_token", "api_key", "apikey", "authorization"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed scope: path below the API's prefix, headers (lower case) and query."""

    method: str
    path: str
    headers: dict[str, str]
    query_string: str
    query: dict[str, list[str]]
    address: str | None

    @classmethod
    def of(cls, scope: dict[str, Any]) -> "Asked":
        """Read a scope. Raises :class:`InvalidError` for bytes that are no UTF-8."""
        try:
            query_string = scope.get("query_string", b"").decode("ascii")
            query = parse_qs(
                query_string,
                keep_blank_values=True,
                errors="strict",
                max_num_fields=500,
            )
            headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        except ValueError as error:
            raise invalid("", "query", "The query string cannot be read.") from error
        client = scope.get("client")
        return cls(
            scope.get("method", "GET"),
            _below_api_prefix(scope["path"]),
            headers,
            query_string,
            query,
            client[0] if client else None,
        )

    def one(self, name: str) -> str | None:
        """The last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else None


def _below_api_prefix(path: str) -> str:
    return path.removeprefix(API_PREFIX) if path.startswith(f"{API_PREFIX}/") else path


def find_actor(asked: Asked) -> Actor:
    """The actor by bearer token, one-time ticket (streams alone) or session cookie, in this order.

    Raises :class:`UnauthenticatedError`. A cookie counts only when the request comes from a page
    of this server (``Origin`` equals ``Host``, or there is none, as with same-origin GET).
    """
    if holds_credentials(asked.query_string, asked.query):
        raise UnauthenticatedError("Credentials go into the Authorization header, not the address.")
    scheme, _space, token = asked.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer":
            raise UnauthenticatedError("Send 'Authorization: Bearer csk_…'.")
        actor = authenticate_token(token.strip(), now=clock.now(), address=asked.address)
        return replace(actor, generation=None)  # a stream outlives the present generation
    ticket = asked.one("ticket")
    if ticket is not None and asked.path in STREAMS:
        return redeem_ticket(ticket, address=asked.address)
    if not _same_origin(asked):
        raise UnauthenticatedError("The session cookie is for pages of this server alone.")
    cookies = parse_cookie(asked.headers.get("cookie", ""))
    person = find_person(cookies.get(settings.SESSION_COOKIE_NAME), address=asked.address)
    if person is None:
        raise UnauthenticatedError("Credentials are needed.")
    return person


def _same_origin(asked: Asked) -> bool:
    origin = asked.headers.get("origin")
    if origin is None:
        return True
    host = asked.headers.get("host", "")
    return origin.partition("://")[2] == host or origin in settings.CSRF_TRUSTED_ORIGINS


def admit_stream(actor: Actor, asked: Asked) -> Interest:
    """What a stream is asked for, once the actor may read it; the instance it names is remembered.

    Raises :class:`NotFoundError` and :class:`ForbiddenError` as fetching would, and
    :class:`InvalidError` for a name that is none.
    """
    names = asked.query.get("service", [])
    if len(names) > MAX_SERVICES:
        raise invalid("", "service", f"At most {MAX_SERVICES} services in one stream.")
    unit = read_unit(asked.headers.get("x-config-unit"), asked.one("unit"))
    instance = asked.headers.get("x-config-instance")
    interest = interest_of(actor, names, asked.one("environment"), asked.one("include"), unit)
    note_stream(actor, interest, instance)
    return replace(interest, instance=instance or "")


def interest_of(
    actor: Actor,
    services: list[str],
    environment: str | None,
    include: str | None,
    unit: str = "",
) -> Interest:
    """The interest in ``services`` (none: all) in one environment (``*``: in all), with what is
    included as a ``unit`` of experiments is served it.
    """
    if unit:
        check_unit(unit)
    if include not in (None, "", "config"):
        raise invalid("/include", "include", "The only thing to include is 'config'.")
    found = [get_service(name) for name in services]
    place = None
    if environment != "*":
        place = resolve_environment(actor=actor, environment=environment)
    for service in found:
        if place is None:
            policy.require_in_some_environment(actor, "read", service)
        else:
            policy.require(actor, "read", Place(service, place))
    if not found:
        policy.require_sight(actor, Place(environment=place))
        policy.require_anywhere(actor, "read")
    return Interest(
        frozenset(each.pk for each in found) if found else None,
        place.pk if place else None,
        include == "config",
        unit,
    )


def note_stream(actor: Actor, interest: Interest, name: str | None) -> None:
    """Remember the instance, if any, at each configuration that it watches and may read."""
    if name is None:
        return
    check_instance_name(name)
    rights = policy.find_rights(actor)
    rows = Configuration.objects.filter(
        service__deleted_at__isnull=True, environment__deleted_at__isnull=True
    )
    if interest.service_ids is not None:
        rows = rows.filter(service__in=interest.service_ids)
    if interest.environment_id is not None:
        rows = rows.filter(environment=interest.environment_id)
    watched = [
        pk
        for pk, *place in rows.values_list("pk", "service", "environment")
        if rights is None or rights.reaches("read", *place)
    ]
    note_watching(actor=actor, configurations=watched, name=name)


def read_cursor(text: str | None, name: str = "after") -> Cursor | None:
    """``REVISION`` or ``EPOCH-REVISION`` as a cursor. Raises :class:`InvalidError` about the parameter."""
    if text is None or text == "":
        return None
    epoch, dash, digits = text.rpartition("-")
    revision = values.whole(digits)
    if revision is None or (dash and not epoch):
        raise invalid(f"/{name}", "revision", "A revision is a number, or EPOCH-NUMBER.")
    return Cursor(revision, epoch.lower() or None)


def read_wait(text: str | None) -> float:
    """``wait`` of a long poll, in seconds. Raises :class:`MalformedError`."""
    if text is None or text == "":
        return 0.0
    if not _SECONDS.fullmatch(text) or float(text) > MAX_WAIT:
        message = f"'wait' is 0 to {MAX_WAIT} seconds."
        raise MalformedError(message, [Problem("/wait", "range", message)])
    return float(text)


def holds_credentials(query_string: str, names: Iterable[str]) -> bool:
    """Whether a query has a credential in it, where logs and proxies would keep it."""
    return "csk_" in query_string or not _CREDENTIALS.isdisjoint(name.lower() for name in names)

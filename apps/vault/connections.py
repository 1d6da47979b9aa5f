"""Connections: the named places that rotations may call. Administrators alone make them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.addresses import find_address
from apps.core.models import Connection, Job
from apps.core.names import check_slug, check_text
from apps.core.outgoing import read_https, read_s3, tls_context
from apps.core.transactions import lock_row, locked, writing
from apps.engine.errors import InvalidError, NotFoundError, UnavailableError, invalid, taken
from apps.engine.values import parse_canonical
from apps.vault.models import Secret
from apps.vault.rotators import rotator_of
from apps.vault.rotators.postgres import read_postgres
from apps.vault.selectors import key_of, place_of
from apps.vault.versions import lock

LONGEST_ROLE = 63
LONGEST_AUTHORITIES = 65_536
MANAGE = "manage"
DESTROY = "secret.destroy"
"""The kind of the jobs that end a value which a rotation has replaced."""


@dataclass(frozen=True, slots=True)
class ConnectionData:
    """What a connection is. ``credential`` is the secret whose value it uses."""

    slug: str
    kind: str
    address: str
    credential: Secret
    login: str = ""
    tls: str = "verify-full"
    authorities: str = ""
    roles: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)


def list_connections() -> QuerySet[Connection]:
    """Every connection. The caller has asked the right."""
    return Connection.objects.filter(deleted_at__isnull=True)


def list_usable_connections(*, actor: Actor, place: Place) -> list[Connection]:
    """The connections that the actor may name in a rotation of a secret at ``place``."""
    return [each for each in list_connections() if may_use(actor, each, place)]


def may_use(actor: Actor, connection: Connection, place: Place) -> bool:
    """Whether the actor may name it for secrets at ``place``: administrators may, and others where
    the administrators have opened it to that service, or to it in that environment.
    """
    if _is_open(connection.services, place):
        return True
    return policy.allowed_free(actor, MANAGE, EVERYWHERE)


def _is_open(services: Iterable[str], place: Place) -> bool:
    names = {f"{place.service}".lower(), f"{place}".lower()}
    return not names.isdisjoint(each.lower() for each in services)


def get_usable_connection(*, actor: Actor, place: Place, name: str) -> Connection:
    """The connection of that name. Raises :class:`InvalidError` when the actor may not name it."""
    found = list_connections().filter(slug__lower=name.lower()).first()
    if found is None or not may_use(actor, found, place):
        raise invalid(
            "/rotation/connection", "connection", "There is no connection here that you may use."
        )
    return found


def save_connection(
    *, actor: Actor, data: ConnectionData, connection: Connection | None = None
) -> Connection:
    """Make a connection, or change ``connection``. Needs ``manage`` everywhere, and ``reveal`` on
    the secret that it uses. The address is looked up and judged.

    Raises :class:`InvalidError`.
    """
    policy.require_free(actor, MANAGE, EVERYWHERE)
    policy.require(actor, "reveal", place_of(data.credential), [key_of(data.credential.slug)])
    check_slug(data.slug)
    _check(data)
    with writing():
        lock(data.credential)
        row = Connection(created_at=clock.now())
        if connection is not None:
            row = locked(connection)
            _refuse_narrower(row, data.services)
        if _others(row).filter(slug__lower=data.slug.lower()).exists():
            raise taken("/slug", "There is a connection of this name.")
        for name in ("slug", "kind", "address", "login", "tls", "authorities"):
            setattr(row, name, getattr(data, name))
        row.credential, row.roles, row.services = data.credential.pk, data.roles, data.services
        if connection is not None:
            _refuse_unfit(row)
        mark_history(row, actor)
        row.save()
        action = "connection.changed" if connection else "connection.created"
        event = Event(
            action,
            f"connection:{row.slug}",
            {
                "kind": row.kind,
                "address": row.address,
                "login": row.login,
                "tls": row.tls,
                "credential": str(data.credential),
                "roles": [*row.roles],
                "services": [*row.services],
            },
        )
        append([event], actor=actor)
    return row


def _refuse_narrower(row: Connection, services: Iterable[str]) -> None:
    """Refuse to close the connection to where rotations use it that it was open to."""
    used = row.rotations.select_related("secret__service", "secret__environment")
    closed = [
        str(each.secret)
        for each in used
        if _is_open(row.services, place_of(each.secret))
        and not _is_open(services, place_of(each.secret))
    ]
    if closed:
        names = ", ".join(sorted(closed)[:20])
        raise invalid("/services", "in_use", f"Rotations use it there: {names}. Change them first.")


def _refuse_unfit(row: Connection) -> None:
    """Refuse what a rotation that uses the connection could not run with any more."""
    used = [
        (str(each.secret), each.rotator, parse_canonical(each.options))
        for each in row.rotations.select_related("secret__service", "secret__environment")
    ]
    used += [(job.subject, end["rotator"], end["options"]) for job, end in _ends_by(row)]
    for subject, name, options in used:
        rotator = rotator_of(name)
        try:
            if rotator.needs != row.kind:
                raise invalid("/kind", "kind", f"It is no {rotator.needs} any more.")
            rotator.check(options, row)
        except InvalidError as error:
            raise invalid(
                "/kind" if rotator.needs != row.kind else "/roles",
                "in_use",
                f"{subject} is rotated by it: {error.detail}",
            ) from error


def _ends_by(row: Connection) -> list[tuple[Job, dict[str, Any]]]:
    """The values before that are still to end by the connection, and how they came to be used."""
    pending = Job.objects.filter(
        kind=DESTROY, finished_at__isnull=True, argument__contains=str(row.pk)
    )
    return [(job, parse_canonical(job.argument)) for job in pending]


def delete_connection(*, actor: Actor, connection: Connection) -> None:
    """Hide a connection. Raises :class:`InvalidError` while rotations use it."""
    policy.require_free(actor, MANAGE, EVERYWHERE)
    with writing():
        lock_row("registry_composition", "id")  # as whoever sets a rotation
        connection = locked(connection)
        used = connection.rotations.select_related("secret__service", "secret__environment")
        names = sorted(str(each.secret) for each in used)
        if names:
            raise invalid("", "in_use", f"Rotations use it: {', '.join(names[:20])}.")
        connection.deleted_at = clock.now()
        mark_history(connection, actor)
        connection.save()
        append([Event("connection.deleted", f"connection:{connection.slug}", {})], actor=actor)


def find_credential(connection: Connection) -> Secret:
    """The secret that a connection uses. Raises :class:`NotFoundError`."""
    rows = Secret.objects.present().select_related("service", "environment")
    found = rows.filter(pk=connection.credential).first()
    if found is None:
        raise NotFoundError("The secret that the connection uses is gone.")
    return found


def _others(row: Connection) -> QuerySet[Connection]:
    return list_connections().exclude(pk=row.pk)


def _check(data: ConnectionData) -> None:
    check_text("address", data.address, 500)
    check_text("authorities", data.authorities, LONGEST_AUTHORITIES)
    for each in data.services:
        service, at, environment = each.partition("@")
        check_slug(service)
        if at:
            check_slug(environment)
    if data.authorities:
        tls_context(data.authorities)
    if data.kind == "webhook":
        target = read_https(data.address)
        host, port = target.host, target.port
        _check_webhook(data)
    elif data.kind == "postgres":
        host, port, _database = read_postgres(data.address)
        _check_postgres(data)
    elif data.kind == "s3":
        storage = read_s3(data.address)
        host, port = storage.host, storage.port
        _check_s3(data)
    else:
        raise invalid("/kind", "kind", "A connection is a webhook, postgres or s3.")
    try:
        find_address(host, port)
    except UnavailableError as error:
        raise invalid("/address", "address", error.detail) from error


def _check_s3(data: ConnectionData) -> None:
    if not data.login:
        raise invalid("/login", "login", "Give the id of the access key as the login.")
    if data.roles or data.services:
        raise invalid("/services", "services", "Storage of backups has no roles and no services.")
    if data.tls != "verify-full":
        raise invalid("/tls", "tls", "The certificate of storage is always verified.")


def _check_webhook(data: ConnectionData) -> None:
    if data.login or data.roles:
        raise invalid("/roles", "roles", "A webhook has no login and no roles.")
    if data.tls != "verify-full":
        raise invalid("/tls", "tls", "A webhook's certificate is always verified.")


def _check_postgres(data: ConnectionData) -> None:
    if data.tls not in dict(Connection.TLS):
        raise invalid("/tls", "tls", f"TLS is one of {', '.join(dict(Connection.TLS))}.")
    for name in (data.login, *data.roles):
        if not name or not name.isprintable() or len(name.encode()) > LONGEST_ROLE:
            raise invalid("/roles", "roles", f"A role has 1 to {LONGEST_ROLE} printable bytes.")
    if data.login in data.roles:
        raise invalid(
            "/roles", "roles", "The role that logs in is not among those whose passwords are set."
        )

"""Reading services, environments and configurations by name."""

from django.contrib.auth.models import Group
from django.db import connection

from apps.engine.errors import NOTHING_HERE, NotFoundError
from apps.registry.models import Configuration, Environment, Service


def get_service(slug: str) -> Service:
    """The service of that name, regardless of case. Raises :class:`NotFoundError`."""
    service = Service.objects.named(slug).first()
    if service is None:
        raise NotFoundError(NOTHING_HERE)
    return service


def get_environment(slug: str) -> Environment:
    """The environment of that name, regardless of case. Raises :class:`NotFoundError`."""
    environment = Environment.objects.named(slug).first()
    if environment is None:
        raise NotFoundError(NOTHING_HERE)
    return environment


def find_pair(service: str, environment: str | None) -> tuple[Service, Environment] | None:
    """A service and an environment (``None``: the default one) that have met, in one statement.

    ``None`` when either is missing, and before the first act on the two.
    """
    rows = Configuration.objects.select_related("service", "environment").filter(
        service__slug__lower=service.lower(),
        service__deleted_at__isnull=True,
        environment__deleted_at__isnull=True,
    )
    if environment is None:
        rows = rows.filter(environment__is_default=True)
    else:
        rows = rows.filter(environment__slug__lower=environment.lower())
    found = rows.first()
    return (found.service, found.environment) if found else None


def find_environment(slug: str) -> Environment | None:
    """The environment of that name, or ``None``."""
    return Environment.objects.named(slug).first()


def find_service(slug: str) -> Service | None:
    """The service of that name, or ``None``."""
    return Service.objects.named(slug).first()


def find_group(name: str) -> Group | None:
    """The group of that name, or ``None``."""
    return Group.objects.filter(name=name).first()


def get_default_environment() -> Environment:
    """The environment marked as default. Raises :class:`NotFoundError` when none is."""
    environment = Environment.objects.present().filter(is_default=True).first()
    if environment is None:
        raise NotFoundError("No environment is marked as default: name one.")
    return environment


def find_configuration(service: Service, environment: Environment) -> Configuration | None:
    """The identity of one service in one environment, when some act has made it."""
    return Configuration.objects.filter(service=service, environment=environment).first()


def read_parents() -> list[tuple[int, int | None, bool]]:
    """Of each environment the keys of itself and of its parent, and whether it is there. Every publish
    asks: a bare statement.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, parent_id, deleted_at IS NULL FROM registry_environment")
        return [(pk, parent, bool(there)) for pk, parent, there in cursor.fetchall()]


def refers_to(service: str) -> bool:
    """Whether a live configuration takes something from a service of that name, in lower case.
    Every publish asks: a bare statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM registry_dependency WHERE service = %s AND live LIMIT 1", [service]
        )
        return cursor.fetchone() is not None


def descendants(environment: Environment) -> list[Environment]:
    """Every environment that inherits from it, also over others."""
    found: list[Environment] = []
    level = [environment.pk]
    while level:
        children = list(Environment.objects.filter(parent__in=level, deleted_at__isnull=True))
        level = [each.pk for each in children]
        found += children
    return found


def ancestors(environment: Environment) -> list[Environment]:
    """The environment's parents, nearest first."""
    by_id = {each.pk: each for each in Environment.objects.all()}
    chain: list[Environment] = []
    parent_id = environment.parent_id
    while parent_id is not None and len(chain) <= len(by_id):
        chain.append(by_id[parent_id])
        parent_id = by_id[parent_id].parent_id
    return chain

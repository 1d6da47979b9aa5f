"""Who inherits from a configuration."""

from apps.access.policy import Place
from apps.configs.models import Live
from apps.registry.models import Environment, Service
from apps.registry.selectors import has_children


def list_heirs(service: Service, environment: Environment) -> list[Place]:
    """Where the same service inherits from this configuration: the nearest with a version."""
    found: list[Place] = []
    waiting = [environment.pk] if has_children(environment) else []
    while waiting:
        children = list(Environment.objects.present().filter(parent__in=waiting))
        live = set(
            Live.objects.filter(
                configuration__service=service,
                configuration__environment__in=children,
                version__retired=False,
            ).values_list("configuration__environment_id", flat=True)
        )
        found += [Place(service, each) for each in children if each.pk in live]
        waiting = [each.pk for each in children if each.pk not in live]
    return found

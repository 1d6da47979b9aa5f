"""Who inherits from a configuration."""

from collections import defaultdict
from collections.abc import Collection

from apps.access.policy import Place
from apps.configs.models import Live
from apps.registry.models import Environment


def list_heirs(places: Collection[Place]) -> list[Place]:
    """Where the same services inherit from what is at ``places``: down each line of environments,
    the nearest that has a version. In two statements, however many places there are.
    """
    children: defaultdict[int | None, list[Environment]] = defaultdict(list)
    for each in Environment.objects.present():
        children[each.parent_id].append(each)
    parents = [place for place in places if place.environment and place.environment.pk in children]
    if not parents:
        return []
    rows = Live.objects.filter(
        configuration__service__in={place.service.pk for place in parents if place.service},
        version__retired=False,
    )
    live = set(rows.values_list("configuration__service_id", "configuration__environment_id"))
    found: list[Place] = []
    for place in parents:
        assert place.service is not None  # noqa: S101 - what inherits is a configuration
        assert place.environment is not None  # noqa: S101 - as above
        waiting = list(children[place.environment.pk])
        while waiting:
            environment = waiting.pop()
            if (place.service.pk, environment.pk) in live:
                found.append(Place(place.service, environment))
            else:
                waiting += children[environment.pk]
    return found

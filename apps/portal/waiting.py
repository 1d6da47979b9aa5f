"""The drafts that wait for somebody, as pages list them."""

from collections import Counter
from typing import Any, Final

from apps.access.policy import Place
from apps.configs.selectors.proposals import list_proposals
from apps.core.actor import Actor
from apps.portal.shared import address

MOST: Final = 20


def waiting(actor: Actor, place: Place | None = None) -> dict[str, Any]:
    """Those that the actor may publish, there or anywhere, each with its page; how many, and how many
    ``at`` each service and environment, by their keys.
    """
    found = list_proposals(actor=actor, place=place)
    rows = [
        (each, Place(each.configuration.service, each.configuration.environment))
        for each in found[:MOST]
    ]
    return {
        "count": len(found),
        "more": len(found) - len(rows),
        "at": Counter(
            (each.configuration.service_id, each.configuration.environment_id) for each in found
        ),
        "rows": [
            {"change": each, "place": at, "url": address("config-proposal", at, each.pk)}
            for each, at in rows
        ],
    }

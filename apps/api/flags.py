"""``/flags``: which flags there are, and which of them could be taken out."""

from typing import Any

from django.http import HttpResponse

from apps.access import policy
from apps.api.base import ApiView, paged, read_flag
from apps.api.documentation import FLAGS, documented
from apps.engine.values import Tree
from apps.rollouts.flag_list import ListedFlag, list_everywhere


class FlagsView(ApiView):
    """The flags of all configurations."""

    @documented("List feature flags", FLAGS)
    def get(self, request: Any) -> HttpResponse:
        """A page of those that are live and may be read; ``?stale=true``: of those that could go."""
        policy.require_anywhere(self.actor, "read")
        rows = list_everywhere(
            actor=self.actor,
            service=request.GET.get("service", ""),
            environment=request.GET.get("environment", ""),
            stale=read_flag(request.GET.get("stale"), "stale"),
        )
        return paged(request, rows, present_flag)


def present_flag(row: ListedFlag) -> dict[str, Tree]:
    """A flag: where it is, whether it is on, when it ends, and why it could go."""
    return {
        "service": str(row.place.service),
        "environment": str(row.place.environment),
        "key": row.key,
        "section": row.found.section,
        "enabled": row.is_enabled,
        "expires": row.expires or None,
        "stale": row.stale or None,
    }

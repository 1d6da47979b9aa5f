"""The pages that names lead to, looked up at once for all that one page shows."""

from collections.abc import Iterable

from django.urls import reverse

from apps.access import policy
from apps.configs.selectors.places import known_places
from apps.configs.selectors.templates import list_templates
from apps.core.actor import Actor
from apps.portal.shared import address


class Links:
    """Addresses of configurations and templates by their names, in any case; ``""`` where the actor
    may not know of one. Three statements, however many names.
    """

    def __init__(
        self, actor: Actor, *, services: Iterable[str] = (), templates: Iterable[str] = ()
    ) -> None:
        self._find = known_places(actor=actor, services=services)
        self._templates: dict[str, int] = {}
        slugs = {each.lower() for each in templates}
        if slugs and policy.holds_anywhere(actor, "read"):
            rows = list_templates(actor=actor).filter(slug__lower__in=slugs)
            self._templates = {each.slug.lower(): each.pk for each in rows}

    def configuration(self, service: str, environment: str, page: str = "config") -> str:
        """A page of a configuration."""
        there = self._find(service, environment)
        return address(page, there) if there else ""

    def template(self, slug: str) -> str:
        """The page of a template."""
        pk = self._templates.get(slug.lower())
        return reverse("admin:configs_template_change", args=[pk]) if pk else ""

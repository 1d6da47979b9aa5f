"""The pages that names lead to, looked up at once for all that one page shows."""

from collections.abc import Iterable

from django.urls import reverse

from apps.access import policy
from apps.access.policy import Place
from apps.configs.selectors.places import list_environments, list_services
from apps.configs.selectors.templates import list_templates
from apps.core.actor import Actor


class Links:
    """Addresses of configurations and templates by their names, in any case; ``""`` where the actor
    may not know of one. Three statements, however many names.
    """

    def __init__(
        self, actor: Actor, *, services: Iterable[str] = (), templates: Iterable[str] = ()
    ) -> None:
        self._actor = actor
        wanted = {each.lower() for each in services}
        found = list_services(actor=actor).filter(slug__lower__in=wanted) if wanted else ()
        self._services = {each.slug.lower(): each for each in found}
        places = list_environments(actor=actor) if self._services else ()
        self._environments = {each.slug.lower(): each for each in places}
        self._templates: dict[str, int] = {}
        slugs = {each.lower() for each in templates}
        if slugs and policy.holds_anywhere(actor, "read"):
            rows = list_templates(actor=actor).filter(slug__lower__in=slugs)
            self._templates = {each.slug.lower(): each.pk for each in rows}

    def place(self, service: str, environment: str) -> Place | None:
        """The configuration, where the actor may know of it."""
        there = Place(
            self._services.get(service.lower()), self._environments.get(environment.lower())
        )
        known = there.service is not None and there.environment is not None
        return there if known and policy.sees(self._actor, there) else None

    def configuration(self, service: str, environment: str, page: str = "config") -> str:
        """A page of a configuration."""
        there = self.place(service, environment)
        args = [str(there.service), str(there.environment)] if there else []
        return reverse(f"admin:{page}", args=args) if there else ""

    def template(self, slug: str) -> str:
        """The page of a template."""
        pk = self._templates.get(slug.lower())
        return reverse("admin:configs_template_change", args=[pk]) if pk else ""

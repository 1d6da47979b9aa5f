"""Reading templates, sections and drafts."""

from django.db.models import OuterRef, QuerySet, Subquery

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Change, Live, Section, Template, TemplateVersion
from apps.configs.selectors.configurations import scope_filter
from apps.core.actor import Actor
from apps.engine.errors import NotFoundError
from apps.engine.values import parse_canonical
from apps.registry.models import Service


def list_templates(*, actor: Actor) -> QuerySet[Template]:
    """Every template, each with ``newest`` (its last version's number) and ``takes`` (that one's
    schema of parameters, as text). Needs ``list`` somewhere.
    """
    policy.require_anywhere(actor, "list")
    newest = TemplateVersion.objects.filter(template=OuterRef("pk")).order_by("-number")
    return Template.objects.present().annotate(
        newest=Subquery(newest.values("number")[:1]),
        takes=Subquery(newest.values("parameters")[:1]),
    )


def get_template(*, actor: Actor, slug: str) -> Template:
    """One template by name. Raises :class:`NotFoundError`. Needs ``list`` somewhere."""
    if not policy.holds_anywhere(actor, "list"):
        raise NotFoundError("There is no such template.")
    found = Template.objects.named(slug).first()
    if found is None:
        raise NotFoundError("There is no such template.")
    return found


def list_template_versions(*, actor: Actor, template: Template) -> QuerySet[TemplateVersion]:
    """The template's versions, newest first, with their contents. Needs ``read`` somewhere."""
    policy.require_anywhere(actor, "read")
    return template.versions.select_related("content").order_by("-number")


def list_template_heirs(template: Template) -> list[Template]:
    """The templates whose newest versions extend it."""
    newest = TemplateVersion.objects.filter(template=OuterRef("template")).order_by("-number")
    rows = TemplateVersion.objects.filter(
        template__deleted_at__isnull=True, number=Subquery(newest.values("number")[:1])
    ).exclude(extends="[]")
    return [
        row.template
        for row in rows.select_related("template")
        if any(
            each["template"].lower() == template.slug.lower()
            for each in parse_canonical(row.extends)
        )
    ]


def list_users(*, actor: Actor, template: Template) -> QuerySet[Live]:
    """The live configurations that extend the template, as far as the actor may list them."""
    return (
        Live.objects.filter(templates=template)
        .filter(scope_filter(actor, "list", "configuration__"))
        .select_related("version", "configuration__service", "configuration__environment")
    )


def list_sections(*, actor: Actor, service: Service) -> QuerySet[Section]:
    """The service's sections by key. Needs ``list`` on it."""
    policy.require_sight(actor, Place(service))
    return Section.objects.filter(service=service)


def get_section(*, actor: Actor, service: Service, key: str) -> Section:
    """One section by its key. Raises :class:`NotFoundError`."""
    found = list_sections(actor=actor, service=service).filter(key=key).first()
    if found is None:
        raise NotFoundError("There is no such section.")
    return found


def find_draft(*, actor: Actor, place: Place) -> Change | None:
    """The actor's own draft of a configuration."""
    return Change.objects.filter(
        author_id=actor.user_id,
        configuration__service=place.service,
        configuration__environment=place.environment,
    ).first()


def list_env_sections(service: Service) -> list[str]:
    """The keys of the service's sections of type environment variables."""
    rows = Section.objects.filter(service=service, type="environment_variables")
    return list(rows.values_list("key", flat=True))

"""Reading templates and drafts."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from apps.access import policy
from apps.access.policy import Place
from apps.audit.selectors import Point, last_states
from apps.configs.models import Change, Live, Template, TemplateVersion
from apps.configs.selectors.configurations import list_served_at, scope_filter
from apps.core.actor import Actor
from apps.engine.errors import NotFoundError
from apps.engine.values import canonical, parse_canonical


def list_templates(*, actor: Actor, point: Point | None = None) -> QuerySet[Template]:
    """Every template, each with ``newest`` (its last version's number) and ``takes`` (that one's
    schema of parameters, as text); with ``point`` those that had a version by then, and that one.
    Needs ``list`` somewhere.
    """
    policy.require_anywhere(actor, "list")
    newest = TemplateVersion.objects.filter(template=OuterRef("pk")).order_by("-number")
    if point is not None:
        newest = newest.filter(revision__lte=point.revision)
    found = Template.objects.present().annotate(
        newest=Subquery(newest.values("number")[:1]),
        takes=Subquery(newest.values("parameters")[:1]),
    )
    return found if point is None else found.filter(newest__isnull=False)


def names_at(templates: Iterable[Template], point: Point) -> dict[int, str]:
    """The titles that templates which were there had as of ``point``, by the templates' keys."""
    states = defaultdict(list)
    history = Template.history.filter(id__in=[each.pk for each in templates])
    for state in history.order_by("history_id"):
        states[f"template:{state.slug}"].append(state)
    actions = ("template.updated", "template.deleted")  # each writes a row, as making one does
    last = last_states(states, actions=actions, point=point, first=list(states))
    return {each.id: each.name for each in last}


def get_template(*, actor: Actor, slug: str, point: Point | None = None) -> Template:
    """One template by name, which was there as of ``point``. Raises :class:`NotFoundError`. Needs
    ``list`` somewhere.
    """
    if not policy.holds_anywhere(actor, "list"):
        raise NotFoundError("There is no such template.")
    found = Template.objects.named(slug).first()
    if found is None or (
        point and not found.versions.filter(revision__lte=point.revision).exists()
    ):
        raise NotFoundError("There is no such template.")
    return found


def list_template_versions(
    *, actor: Actor, template: Template, point: Point | None = None
) -> QuerySet[TemplateVersion]:
    """The template's versions (by ``point``), newest first, with their contents. Needs ``read``
    somewhere.
    """
    policy.require_anywhere(actor, "read")
    rows = template.versions.select_related("content").order_by("-number")
    return rows if point is None else rows.filter(revision__lte=point.revision)


def find_template_version(
    *, actor: Actor, template: Template, point: Point | None = None
) -> TemplateVersion | None:
    """Its newest version (as of ``point``), where it has one. Rights as for the list."""
    return list_template_versions(actor=actor, template=template, point=point).first()


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


def in_live_use(templates: QuerySet[Template], *, actor: Actor, used: bool) -> QuerySet[Template]:
    """Those that a live configuration which the actor may list extends, or those that none does."""
    users = Exists(_users(actor).filter(templates=OuterRef("pk")))
    return templates.filter(users if used else ~users)


def list_users(*, actor: Actor, template: Template) -> tuple[QuerySet[Live], int]:
    """The live configurations that use the template, itself or under another, as far as the actor
    may list them, and how many more there are. Needs ``read`` somewhere.
    """
    policy.require_anywhere(actor, "read")
    every = Live.objects.filter(templates=template)
    seen = every.filter(scope_filter(actor, "list", "configuration__"))
    rows = seen.select_related("version", "configuration__service", "configuration__environment")
    order = ("configuration__service__slug", "configuration__environment__rank", "pk")
    return rows.order_by(*order), every.count() - seen.count()


def list_users_at(*, actor: Actor, template: Template, point: Point) -> tuple[list[Live], int]:
    """The same of those that used it as of ``point``."""
    policy.require_anywhere(actor, "read")
    named = canonical({"template": template.slug})[1:-1]
    rows = list_served_at(point, Q()).filter(lock__contains=named, retired=False)
    lives = [Live(configuration=each.configuration, version=each) for each in rows]
    users = [each for each in lives if used_version(each, template) is not None]
    seen = [each for each in users if policy.sees(actor, _place_of(each))]
    seen.sort(
        key=lambda each: (each.configuration.service.slug, each.configuration.environment.rank)
    )
    return seen, len(users) - len(seen)


def _place_of(live: Live) -> Place:
    return Place(live.configuration.service, live.configuration.environment)


def used_version(live: Live, template: Template) -> int | None:
    """The version of the template that a live configuration is made of."""
    lock = parse_canonical(live.version.lock)
    used = (each["version"] for each in lock if each.get("template") == template.slug)
    return next(used, None)


def _users(actor: Actor) -> QuerySet[Live]:
    return Live.objects.filter(scope_filter(actor, "list", "configuration__"))


def list_newest_versions(
    *, actor: Actor, templates: Iterable[int], point: Point | None = None
) -> dict[int, TemplateVersion]:
    """The newest version (by ``point``) of each of several templates, by the templates' keys. Needs
    ``read`` somewhere.
    """
    by_then = TemplateVersion.objects.filter(template=OuterRef("template"))
    if point is not None:
        by_then = by_then.filter(revision__lte=point.revision)
    rows = list_versions_of(actor=actor, templates=templates).filter(
        number=Subquery(by_then.order_by("-number").values("number")[:1])
    )
    return {each.template_id: each for each in rows}


def list_versions_of(*, actor: Actor, templates: Iterable[int]) -> QuerySet[TemplateVersion]:
    """The versions of several templates, newest first, with their contents, likewise."""
    policy.require_anywhere(actor, "read")
    rows = TemplateVersion.objects.filter(template__in=templates)
    return rows.select_related("content").order_by("template", "-number")


def find_draft(*, actor: Actor, place: Place) -> Change | None:
    """The actor's own draft of a configuration."""
    return Change.objects.filter(
        author_id=actor.user_id,
        configuration__service=place.service,
        configuration__environment=place.environment,
    ).first()

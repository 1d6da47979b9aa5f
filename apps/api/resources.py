"""Environments, services with their sections, and templates."""

from typing import Any

from django.http import HttpResponse

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.api.base import (
    ApiView,
    answer_json,
    bad_member,
    paged,
    paged_together,
    read_flag,
    read_members,
    typed,
)
from apps.api.documentation import (
    ENVIRONMENT,
    LIST_AT,
    READ_AT,
    SECTION,
    SERVICE,
    TEMPLATE,
    documented,
)
from apps.api.points import point_of
from apps.api.writing import environment_of, present_affected
from apps.audit.selectors import Point
from apps.configs import describing
from apps.configs.selectors import configurations
from apps.configs.selectors import places as listed
from apps.configs.selectors import sections as declared
from apps.configs.selectors import templates as selected
from apps.configs.services import places, sections, templates
from apps.configs.services.bases import Base, Options
from apps.core import clock
from apps.engine.errors import invalid
from apps.engine.values import Tree, parse_canonical

SERVICE_MEMBERS = ("slug", *places.SERVICE_MEMBERS)
ENVIRONMENT_MEMBERS = ("slug", *places.ENVIRONMENT_MEMBERS)
SECTION_MEMBERS = ("key", *sections.MEMBERS, "acknowledge")
TEMPLATE_MEMBERS = ("slug", "name", "parameters", "content", "extends", "message")
TEMPLATE_VERSION_MEMBERS = (*TEMPLATE_MEMBERS, "base_version", "dependents", "dry_run")
RENDER_MEMBERS = ("with", "version", "service", "environment")


def present_environment(row: Any) -> dict[str, Tree]:
    """An environment as the contract writes it."""
    return {
        **describing.environment(row),
        "required_approvals": row.required_approvals,
        "services": getattr(row, "services", 0),
    }


def present_service(row: Any) -> dict[str, Tree]:
    """A service as the contract writes it."""
    return {"slug": row.slug, **describing.service(row)}


def present_section(row: Any) -> dict[str, Tree]:
    """A section as the contract writes it."""
    return {"key": row.key, **describing.section(row)}


def present_template_version(row: Any) -> dict[str, Tree]:
    """One version of a template."""
    return {**_made(row), **_said(row)}


def _made(row: Any) -> dict[str, Tree]:
    return {
        "version": row.number,
        "revision": row.revision,
        "published_at": clock.rfc3339(row.published_at),
        "author": row.author,
    }


def _said(row: Any) -> dict[str, Tree]:
    return {
        "message": row.message,
        "parameters": parse_canonical(row.parameters),
        "content": parse_canonical(row.content.content),
        "extends": parse_canonical(row.extends),
    }


class EnvironmentsView(ApiView):
    """The environments that the caller may know of."""

    @documented("List environments", LIST_AT)
    def get(self, request: Any) -> HttpResponse:
        """A page of them, by rank; with ``at=`` those that there were, as they were then."""
        point = point_of(request)
        if point is not None:
            then = listed.list_environments_at(actor=self.actor, point=point)
            return paged(request, then, present_environment)
        return paged(request, listed.list_environments(actor=self.actor), present_environment)

    @documented("Make an environment", ENVIRONMENT)
    def post(self, request: Any) -> HttpResponse:
        """Make one; its name is for ever."""
        return self.once(
            lambda: self._create(request), lambda: policy.require(self.actor, "manage", EVERYWHERE)
        )

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, ENVIRONMENT_MEMBERS)
        slug = members.pop("slug", None)
        made = places.create_environment(actor=self.actor, slug=slug, **members)
        return answer_json(present_environment(made), 201, _at(request, made.slug))


class EnvironmentView(ApiView):
    """One environment."""

    @documented("Fetch an environment", READ_AT)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """Its members; with ``at=`` as they were then."""
        row = listed.get_counted_environment(actor=self.actor, slug=slug, point=point_of(request))
        return answer_json(present_environment(row))

    @documented("Change an environment", ENVIRONMENT)
    def patch(self, request: Any, slug: str) -> HttpResponse:
        """Change the given members. Another parent composes all that is below it again;
        ``"dependents":"leave"`` leaves what would be invalid as it is, outdated;
        ``"dry_run":true`` says what would follow, and stores nothing.
        """
        row = listed.get_listed_environment(actor=self.actor, slug=slug)
        members = read_members(request, (*ENVIRONMENT_MEMBERS, "dependents", "dry_run"))
        members["dependents"] = typed(members, "dependents", str, "refuse")
        members["dry_run"] = dry_run = typed(members, "dry_run", bool, False)
        members = _without_slug(members, row.slug)
        made = places.update_environment(actor=self.actor, environment=row, **members)
        row = listed.get_counted_environment(actor=self.actor, slug=slug)
        data = {**present_environment(row), **describing.environment(made.environment)}
        data["affected"] = present_affected(made.affected)
        return answer_json({**data, "dry_run": True} if dry_run else data)

    @documented("Hide an environment", ENVIRONMENT)
    def delete(self, _request: Any, slug: str) -> HttpResponse:
        """Refused while something live uses it."""
        row = listed.get_listed_environment(actor=self.actor, slug=slug)
        places.delete_environment(actor=self.actor, environment=row)
        return HttpResponse(status=204)


class ServicesView(ApiView):
    """The services that the caller may know of."""

    @documented("List services", LIST_AT)
    def get(self, request: Any) -> HttpResponse:
        """A page of them, by name; with ``at=`` those that there were, as they were then."""
        point = point_of(request)
        if point is not None:
            then = listed.list_services_at(actor=self.actor, point=point)
            return paged(request, then, present_service)
        return paged(request, listed.list_services(actor=self.actor), present_service)

    @documented("Register a service", SERVICE)
    def post(self, request: Any) -> HttpResponse:
        """Register one; its name is for ever."""
        return self.once(
            lambda: self._create(request), lambda: policy.require(self.actor, "manage", EVERYWHERE)
        )

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, SERVICE_MEMBERS)
        slug = members.pop("slug", None)
        made = places.create_service(actor=self.actor, slug=slug, **members)
        return answer_json(present_service(made), 201, _at(request, made.slug))


class ServiceView(ApiView):
    """One service."""

    @documented("Fetch a service", READ_AT)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """Its members; with ``at=`` as they were then."""
        row = listed.get_listed_service(actor=self.actor, slug=slug, point=point_of(request))
        return answer_json(present_service(row))

    @documented("Change a service", SERVICE)
    def patch(self, request: Any, slug: str) -> HttpResponse:
        """Change the given members."""
        row = listed.get_listed_service(actor=self.actor, slug=slug)
        members = _without_slug(read_members(request, SERVICE_MEMBERS), row.slug)
        made = places.update_service(actor=self.actor, service=row, **members)
        return answer_json(present_service(made))

    @documented("Hide a service", SERVICE)
    def delete(self, _request: Any, slug: str) -> HttpResponse:
        """Refused while it has a live configuration."""
        row = listed.get_listed_service(actor=self.actor, slug=slug)
        places.delete_service(actor=self.actor, service=row)
        return HttpResponse(status=204)


class SectionsView(ApiView):
    """The sections of a service."""

    @documented("List a service's sections", LIST_AT)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """A page of them, by key; with ``at=`` those that there were, as they were then."""
        service = listed.get_listed_service(actor=self.actor, slug=slug)
        point = point_of(request)
        rows = declared.list_sections(actor=self.actor, service=service, point=point)
        return paged(request, rows, present_section)

    @documented("Declare a section", SECTION)
    def post(self, request: Any, slug: str) -> HttpResponse:
        """Declare one. Refused while live configurations would fail, unless ``"acknowledge":true``."""
        return self.once(
            lambda: self._create(request, slug),
            lambda: policy.require(
                self.actor,
                "manage",
                Place(listed.get_listed_service(actor=self.actor, slug=slug)),
            ),
        )

    def _create(self, request: Any, slug: str) -> HttpResponse:
        service = listed.get_listed_service(actor=self.actor, slug=slug)
        members = read_members(request, SECTION_MEMBERS)
        key = members.pop("key", None)
        members["acknowledge"] = typed(members, "acknowledge", bool, False)
        made = sections.create_section(actor=self.actor, service=service, key=key, **members)
        return answer_json(present_section(made), 201, _at(request, made.key))


class SectionView(ApiView):
    """One section."""

    @documented("Fetch a section", READ_AT)
    def get(self, request: Any, slug: str, key: str) -> HttpResponse:
        """Its members; with ``at=`` as they were then."""
        return answer_json(present_section(self._find(slug, key, point_of(request))))

    @documented("Change a section", SECTION)
    def patch(self, request: Any, slug: str, key: str) -> HttpResponse:
        """Change the given members."""
        row = self._find(slug, key)
        members = read_members(request, SECTION_MEMBERS)
        if members.pop("key", row.key) != row.key:
            raise invalid("/key", "immutable", "A section's key does not change.")
        members["acknowledge"] = typed(members, "acknowledge", bool, False)
        made = sections.update_section(actor=self.actor, section=row, **members)
        return answer_json(present_section(made))

    @documented("Take a section's declaration away", SECTION)
    def delete(self, request: Any, slug: str, key: str) -> HttpResponse:
        """The values stay, free of a schema. ``?acknowledge=true`` where lists that merged by it do
        not compose without it.
        """
        acknowledge = read_flag(request.GET.get("acknowledge"), "acknowledge")
        sections.delete_section(
            actor=self.actor, section=self._find(slug, key), acknowledge=acknowledge
        )
        return HttpResponse(status=204)

    def _find(self, slug: str, key: str, point: Point | None = None) -> Any:
        service = listed.get_listed_service(actor=self.actor, slug=slug)
        return declared.get_section(actor=self.actor, service=service, key=key, point=point)


class TemplatesView(ApiView):
    """Templates."""

    @documented("List templates", LIST_AT)
    def get(self, request: Any) -> HttpResponse:
        """A page of them, by name; with ``at=`` those that there were, with the versions of then."""
        point = point_of(request)
        rows = selected.list_templates(actor=self.actor, point=point)

        def present(found: list[Any]) -> list[Tree]:
            names = selected.names_at(found, point) if point else {}
            return [_template(row, row.newest, names.get(row.pk)) for row in found]

        return paged_together(request, rows, present)

    @documented("Make a template", TEMPLATE)
    def post(self, request: Any) -> HttpResponse:
        """Make one with its first version."""
        return self.once(
            lambda: self._create(request), lambda: policy.require(self.actor, "manage", EVERYWHERE)
        )

    def _create(self, request: Any) -> HttpResponse:
        members = _template_members(request)
        made = templates.create_template(
            actor=self.actor,
            slug=members.get("slug", ""),
            body=_body(members),
            name=typed(members, "name", str, ""),
            message=typed(members, "message", str, ""),
        )
        data = {**_template(made.template, made.number), **present_template_version(made)}
        return answer_json(data, 201, _at(request, made.template.slug))


class TemplateView(ApiView):
    """One template, with its newest version."""

    @documented("Fetch a template", READ_AT)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """Its name and newest content; with ``at=`` the newest by then."""
        point = point_of(request)
        row = selected.get_template(actor=self.actor, slug=slug, point=point)
        newest = selected.find_template_version(actor=self.actor, template=row, point=point)
        names = selected.names_at([row], point) if point else {}
        data = _template(row, newest.number if newest else None, names.get(row.pk))
        return answer_json({**data, **(present_template_version(newest) if newest else {})})

    @documented("Change a template's title", TEMPLATE)
    def patch(self, request: Any, slug: str) -> HttpResponse:
        """Change its name; content changes by publishing a version."""
        row = selected.get_template(actor=self.actor, slug=slug)
        members = read_members(request, ("name",))
        name = typed(members, "name", str, row.name)
        templates.update_template(actor=self.actor, template=row, name=name)
        listed_row: Any = selected.list_templates(actor=self.actor).get(pk=row.pk)
        return answer_json(_template(listed_row, listed_row.newest))

    @documented("Hide a template", TEMPLATE)
    def delete(self, _request: Any, slug: str) -> HttpResponse:
        """Refused while a live configuration extends it."""
        row = selected.get_template(actor=self.actor, slug=slug)
        templates.delete_template(actor=self.actor, template=row)
        return HttpResponse(status=204)


class TemplateVersionsView(ApiView):
    """The versions of a template."""

    @documented("List a template's versions, newest first", LIST_AT)
    def get(self, request: Any, slug: str) -> HttpResponse:
        """A page of them; with ``at=`` those that there were by then."""
        row = selected.get_template(actor=self.actor, slug=slug)
        rows = selected.list_template_versions(
            actor=self.actor, template=row, point=point_of(request)
        )
        return paged(request, rows, present_template_version)

    @documented("Publish a version of a template", TEMPLATE)
    def post(self, request: Any, slug: str) -> HttpResponse:
        """Its users follow in the same act and are in ``affected``; ``"dependents":"leave"`` leaves
        the invalid ones as they are, outdated; ``"dry_run":true`` stores nothing. A
        ``base_version`` that is stale is refused.
        """
        return self.once(
            lambda: self._publish(request, slug),
            lambda: policy.require(self.actor, "manage", EVERYWHERE),
        )

    def _publish(self, request: Any, slug: str) -> HttpResponse:
        row = selected.get_template(actor=self.actor, slug=slug)
        members = _template_members(request, TEMPLATE_VERSION_MEMBERS)
        made = templates.publish_template(
            actor=self.actor,
            template=row,
            body=_body(members),
            options=Options(
                message=typed(members, "message", str, ""),
                base=Base(typed(members, "base_version", int)),
                dependents=typed(members, "dependents", str, "refuse"),
                dry_run=typed(members, "dry_run", bool, False),
            ),
        )
        data = {**_said(made.version), "affected": present_affected(made.affected)}
        if made.dry_run:
            return answer_json({**data, "dry_run": True, "unchanged": made.unchanged})
        data |= _made(made.version)
        return answer_json({**data, "unchanged": True} if made.unchanged else data, 201)


class TemplateRenderView(ApiView):
    """What a template gives with parameters."""

    @documented("Render a template with parameters; nothing is stored", TEMPLATE)
    def post(self, request: Any, slug: str) -> HttpResponse:
        """``{"with":{…},"version":N,"service":SLUG,"environment":SLUG}``, all optional. References stay
        as they are written, unless there is a service: then they are resolved as they would be there.
        """
        row = selected.get_template(actor=self.actor, slug=slug)
        members = read_members(request, RENDER_MEMBERS)
        service = typed(members, "service", str)
        environment = environment_of(request, members)
        if environment and not service:
            raise bad_member("service", "Name the service whose document it would be, too.")
        version, tree = templates.render_template(
            actor=self.actor,
            template=row,
            given=typed(members, "with", dict, {}),
            number=typed(members, "version", int),
            place=configurations.resolve_place(
                actor=self.actor, service=service, environment=environment, verb="read"
            )
            if service
            else None,
        )
        return answer_json({"slug": row.slug, "version": version.number, "content": tree})


def _template(row: Any, newest: int | None, name: str | None = None) -> dict[str, Tree]:
    return {"slug": row.slug, "name": name or row.name, "version": newest}


def _template_members(request: Any, known: tuple[str, ...] = TEMPLATE_MEMBERS) -> dict[str, Tree]:
    members = read_members(request, known)
    if not isinstance(members.get("content"), dict):
        raise bad_member("content", "'content' must be an object.")
    return members


def _body(members: dict[str, Tree]) -> templates.Body:
    return templates.Body(members.get("content"), members.get("parameters"), members.get("extends"))


def _without_slug(members: dict[str, Tree], slug: str) -> dict[str, Tree]:
    if members.pop("slug", slug) != slug:
        raise invalid("/slug", "immutable", "A name does not change.")
    return members


def _at(request: Any, slug: str) -> dict[str, str]:
    return {"Location": f"{request.path}/{slug}"}

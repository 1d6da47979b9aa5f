"""Services, environments and sections in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.configs.models import Section
from apps.configs.selectors.places import list_environments, list_services
from apps.configs.selectors.standing import list_live_at
from apps.configs.services import places, sections
from apps.core.actor import Actor
from apps.engine import formats
from apps.engine.errors import DomainError
from apps.engine.sections import SECTION_TYPES
from apps.engine.values import parse_canonical
from apps.portal.addresses import may_ask, place_url
from apps.portal.base_admin import PortalAdmin, SeenFilter, as_text
from apps.portal.list_filters import LabelFilter
from apps.portal.retiring import obstacle
from apps.portal.reviewing import ReviewedForm, dependents_of, require_review
from apps.portal.rule_admin import acknowledgement
from apps.portal.shared import actor_of, address
from apps.registry.models import Environment, Service
from apps.vault.models import Secret
from apps.vault.selectors import list_secrets

HIDDEN = "It is hidden, and its name is never used again."


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A service, its labels as ``key=value`` lines."""

    label_lines = forms.CharField(
        label="Labels",
        required=False,
        help_text="One key=value on each line.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
    )

    class Meta:
        model = Service
        fields = ("slug", "name", "description", "owner")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lines = [f"{key}={value}" for key, value in self.instance.labels.items()]
        self.fields["label_lines"].initial = "\n".join(lines)

    def clean_label_lines(self) -> dict[str, str]:
        """The labels as an object."""
        lines = [line for line in self.cleaned_data["label_lines"].splitlines() if line.strip()]
        if any("=" not in line for line in lines):
            raise forms.ValidationError("Write key=value on each line.")
        pairs = (line.partition("=") for line in lines)
        return {key.strip(): value.strip() for key, _equals, value in pairs}


class ServiceAdmin(PortalAdmin):
    """Services, with their labels, owner and configurations."""

    form = ServiceForm
    list_display = ("name_and_slug", "owner", "label_badges", "description")
    list_filter = (("owner", SeenFilter), LabelFilter)
    search_fields = ("slug", "name", "description")
    ordering = ("slug",)
    read_only = {"owner": "read_owner", "label_lines": "label_badges"}
    deleting = HIDDEN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Service]:
        """Those that the person may know of."""
        return list_services(actor=actor_of(request))

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name never changes."""
        return ("slug", "sections_and_configurations") if obj else ()

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The form's fields."""
        fields = ("slug", "name", "description", "owner", "label_lines")
        return (*fields, "sections_and_configurations") if obj else fields

    def place(self, row: Any) -> Place:
        """Rights hang on the service."""
        return Place(row)

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Register or change."""
        members = {name: data[name] for name in ("name", "description")}
        owner: Group | None = data["owner"]
        members |= {"owner": owner.name if owner else None, "labels": data["label_lines"]}
        if row is None:
            return places.create_service(actor=actor, slug=data["slug"], **members)
        return places.update_service(actor=actor, service=row, **members)

    def remove(self, actor: Any, row: Any) -> None:
        """Hide."""
        places.delete_service(actor=actor, service=row)

    def obstacles(self, row: Any) -> list[dict[str, Any]]:
        """What is live, and its secrets."""
        return _held_at(row.viewer, self.place(row))

    @staticmethod
    @admin.display(description="Service", ordering="slug")
    def name_and_slug(row: Service) -> str:
        """Name over slug."""
        return format_html("{}<br><small class='muted'>{}</small>", row.name, row.slug)

    @staticmethod
    @admin.display(description="Owner")
    def read_owner(row: Any) -> str:
        """The group that owns it; a link for who may open the groups' pages."""
        if row.owner is None or not may_ask(row.viewer, EVERYWHERE):
            return row.owner.name if row.owner else ""
        address = reverse("admin:auth_group_change", args=[row.owner.pk])
        return format_html("<a class='link' href='{}'>{}</a>", address, row.owner.name)

    @staticmethod
    @admin.display(description="Labels")
    def label_badges(row: Service) -> str:
        """Labels as badges."""
        labels = sorted(row.labels.items())
        badges = format_html_join(" ", "<span class='badge'>{}={}</span>", labels)
        return format_html("<span class='p-labels'>{}</span>", badges) if labels else ""

    @staticmethod
    def sections_and_configurations(row: Any) -> str:
        """Links to what hangs on the service."""
        shown = format_html_join(
            "", "<li><b>{}</b> — {}</li>", ((each.key, each.type) for each in row.sections.all())
        )
        links = format_html_join(
            " · ",
            "<a class='link' href='{}'>{}</a>",
            (
                (reverse("admin:config", args=[row.slug, each.slug]), each.slug)
                for each in list_environments(actor=row.viewer)
                if policy.allowed(row.viewer, "list", Place(row, each))
            ),
        )
        sections_link = (
            reverse("admin:configs_section_changelist") + f"?service__id__exact={row.pk}"
        )
        return format_html(
            "<p>Configurations: {}</p><ul>{}</ul><p><a class='link' href='{}'>Sections</a></p>",
            links,
            shown,
            sections_link,
        )


class EnvironmentForm(ReviewedForm):
    """An environment, and what becomes of those that another parent would break."""

    class Meta:
        model = Environment
        fields = ("slug", "name", "parent", "rank", "is_default", "is_protected")


class EnvironmentAdmin(PortalAdmin):
    """Environments: the tree, the default, the protected."""

    form = EnvironmentForm
    change_form_template = "portal/reviewed_form.html"
    change_form_before_template = "portal/review.html"
    list_display = ("slug", "name", "parent", "rank", "is_default", "is_protected", "services")
    list_filter = ("is_protected", ("parent", SeenFilter))
    deleting = HIDDEN
    ordering = ("rank", "slug")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Environment]:
        """Those that the person may know of."""
        return list_environments(actor=actor_of(request))

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The form's fields."""
        return (*EnvironmentForm.Meta.fields, "leave") if obj else EnvironmentForm.Meta.fields

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name never changes."""
        return ("slug",) if obj else ()

    def place(self, row: Any) -> Place:
        """Rights hang on the environment."""
        return Place(environment=row)

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make or change."""
        members = {
            "name": data["name"],
            "rank": data["rank"],
            "parent": data["parent"].slug if data["parent"] else None,
            "default": data["is_default"],
            "protected": data["is_protected"],
        }
        if row is None:
            return places.create_environment(actor=actor, slug=data["slug"], **members)
        members["dependents"] = dependents_of(data)
        tried = places.update_environment(actor=actor, environment=row, dry_run=True, **members)
        require_review(tried.affected, data["reviewed"], f"Save {row.slug} and publish")
        return places.update_environment(actor=actor, environment=row, **members).environment

    def remove(self, actor: Any, row: Any) -> None:
        """Hide."""
        places.delete_environment(actor=actor, environment=row)

    def obstacles(self, row: Any) -> list[dict[str, Any]]:
        """What is live in it, its secrets, what inherits from it, and that it is the default."""
        known = list_environments(actor=row.viewer).filter(parent=row)
        hidden = row.children.present().count() - len(known)
        below = [{"title": each.slug, "url": _change(each)} for each in known]
        first = [{"title": "make another one the default first", "url": ""}]
        return [
            *_held_at(row.viewer, self.place(row)),
            {"title": "Environments that inherit from it", "rows": below, "hidden": hidden},
            {"title": "It is the default", "rows": first if row.is_default else [], "hidden": 0},
        ]

    @staticmethod
    def services(row: Any) -> int:
        """How many configurations are live there."""
        return int(row.services)


def _held_at(actor: Actor, place: Place) -> list[dict[str, Any]]:
    """The live configurations and the secrets at a place, which must go first."""
    kept, known = Secret.objects.present(), list_secrets(actor=actor)
    for name, at in (("service", place.service), ("environment", place.environment)):
        if at is not None:
            kept, known = kept.filter(**{name: at}), known.filter(**{name: at})
    rows = [
        {
            "title": str(each),
            "url": address("config-secret", Place(each.service, each.environment), each.slug),
        }
        for each in known
    ]
    return [
        obstacle(actor, "Live there; retire them first", list_live_at(actor=actor, place=place)),
        {
            "title": "Secrets are kept there; delete them first",
            "rows": rows,
            "hidden": kept.count() - len(rows),
        },
    ]


def _change(environment: Environment) -> str:
    return reverse("admin:registry_environment_change", args=[environment.pk])


class SectionForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A section; its schema as JSON text."""

    type = forms.ChoiceField(choices=[(each, kind.label) for each, kind in SECTION_TYPES.items()])
    schema = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 12, "class": "code"})
    )
    acknowledge = acknowledgement()

    class Meta:
        model = Section
        fields = ("service", "key", "type", "schema", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tree = parse_canonical(self.instance.schema or "{}")
        self.initial["schema"] = formats.render(tree, "json")

    def clean_schema(self) -> Any:
        """The schema as a tree."""
        try:
            return formats.parse(self.cleaned_data["schema"] or "{}", "json").tree
        except DomainError as error:
            where = error.problems[0] if error.problems else None
            raise forms.ValidationError(
                f"{f'Line {where.line}: ' if where else ''}{error.detail}"
            ) from error

    def _post_clean(self) -> None:
        """The service checks and writes; the row here is only shown."""


class SectionAdmin(PortalAdmin):
    """Sections of services."""

    form = SectionForm
    list_display = ("key", "service", "type", "description")
    list_filter = (("service", SeenFilter), "type")
    search_fields = ("key", "service__slug")
    read_only = {"schema": "read_schema", "acknowledge": ""}
    deleting = "Its declaration is taken away; the values stay, free of a schema."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Section]:
        """Those of services that the person may know of."""
        return Section.objects.filter(service__in=list_services(actor=actor_of(request)))

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What a section is of never changes."""
        return ("service", "key") if obj else ()

    def place(self, row: Any) -> Place:
        """Rights hang on the service."""
        return Place(row.service)

    def rights_url(self, row: Any) -> str:
        """Who may do what with its keys."""
        place = self.place(row)
        return place_url(place, (row.key,)) if may_ask(row.viewer, place) else ""

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Declare or change."""
        members = {name: data[name] for name in (*sections.MEMBERS, "acknowledge")}
        if row is None:
            return sections.create_section(
                actor=actor, service=data["service"], key=data["key"], **members
            )
        return sections.update_section(actor=actor, section=row, **members)

    @staticmethod
    @admin.display(description="Schema")
    def read_schema(row: Section) -> str:
        """The JSON Schema, a member on each line."""
        return as_text(formats.render(parse_canonical(row.schema or "{}"), "json"))

    def remove(self, actor: Any, row: Any) -> None:
        """Take the declaration away."""
        sections.delete_section(actor=actor, section=row)

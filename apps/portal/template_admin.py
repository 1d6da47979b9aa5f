"""Templates in the admin: parameters, versions, users, and a preview."""

from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.access import policy
from apps.configs.models import Template, TemplateVersion
from apps.configs.selectors.standing import list_extending
from apps.configs.selectors.templates import (
    list_template_heirs,
    list_template_versions,
    list_templates,
    list_users,
    used_version,
)
from apps.configs.services import templates
from apps.configs.services.bases import Base, Options
from apps.engine import diff, formats, values
from apps.engine.errors import ConflictError, DomainError
from apps.engine.values import canonical, parse_canonical
from apps.portal.base_admin import PortalAdmin, as_text
from apps.portal.editor import followed
from apps.portal.list_filters import InUseFilter
from apps.portal.retiring import obstacle
from apps.portal.reviewing import ReviewedForm, ReviewNeeded, dependents_of, require_review
from apps.portal.shared import actor_of
from apps.portal.template_preview import preview
from apps.portal.timeline import shown


def _area(rows: int) -> UnfoldAdminTextareaWidget:
    return UnfoldAdminTextareaWidget(attrs={"rows": rows, "class": "code", "spellcheck": "false"})


MOST_VERSIONS, MOST_USERS, OPEN_USERS = 20, 200, 30


class TemplateForm(ReviewedForm):
    """A template; what its newest version says as YAML texts, and which version that is."""

    base_version = forms.IntegerField(required=False, widget=forms.HiddenInput())
    parameters = forms.CharField(
        required=False,
        widget=_area(8),
        help_text="The JSON Schema of what it takes, with defaults, as YAML.",
    )
    extends = forms.CharField(
        required=False,
        widget=_area(3),
        help_text="The templates under it: <code>- {template: base, with: {pool: 20}}</code>",
    )
    content = forms.CharField(
        widget=_area(16),
        help_text="<code>${param:name}</code>, <code>{$if: params.pool &gt; 10, then: …, else: …}"
        "</code>, <code>{$for: x, in: params.list, do: …}</code>",
    )
    message = forms.CharField(required=False, widget=UnfoldAdminTextInputWidget())

    class Meta:
        model = Template
        fields = ("slug", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = _newest(self.instance)
        if newest is not None:
            self.initial["base_version"] = newest.number
            self.initial["content"] = _yaml(newest.content.content)
            self.initial["parameters"] = _yaml(newest.parameters)
            self.initial["extends"] = _yaml(newest.extends)

    def clean_content(self) -> Any:
        """The content as a tree."""
        return self._tree("content", {})

    def clean_parameters(self) -> Any:
        """The schema as a tree."""
        return self._tree("parameters", {})

    def clean_extends(self) -> Any:
        """The list of templates."""
        text = self.cleaned_data["extends"].strip()
        wrapped = "extends:\n" + "\n".join(f"  {line}" for line in text.splitlines())
        self.cleaned_data["extends"] = wrapped
        return self._tree("extends", {}, before=1)["extends"] if text else []

    def _tree(self, name: str, empty: Any, before: int = 0) -> Any:
        text = self.cleaned_data[name]
        try:
            return formats.parse(text, "yaml").tree if text.strip() else empty
        except DomainError as error:
            where = error.problems[0] if error.problems else None
            line = f"Line {(where.line or 1) - before}: " if where else ""
            raise forms.ValidationError(f"{line}{error.detail}") from error


def _newest(template: Template) -> TemplateVersion | None:
    return template.versions.select_related("content").first() if template.pk else None


def _yaml(text: str) -> str:
    """A canonical document as YAML; nothing for an empty one."""
    tree = parse_canonical(text)
    if isinstance(tree, list):
        return "".join(f"- {canonical(item)}\n" for item in tree)
    return formats.render(tree, "yaml") if tree else ""


class TemplateAdmin(PortalAdmin):
    """Templates, their versions and their users."""

    form = TemplateForm
    list_display = ("slug", "name", "newest")
    list_filter = (InUseFilter,)
    search_fields = ("slug", "name")
    ordering = ("slug",)
    change_form_template = "portal/reviewed_form.html"
    change_form_before_template = "portal/review.html"
    change_form_outer_after_template = "portal/template_preview.html"
    read_only = {
        "parameters": "read_parameters",
        "extends": "read_extends",
        "content": "read_content",
        "message": "",
        "leave": "",
    }
    deleting = "It is hidden, and its name is never used again."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        """Every template, for those who may list something."""
        actor = actor_of(request)
        if not policy.holds_anywhere(actor, "list"):
            return Template.objects.none()
        return list_templates(actor=actor)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Names with ``list`` on something, contents with ``read``: as REST has it."""
        verb = "list" if obj is None else "read"
        return policy.holds_anywhere(actor_of(request), verb)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The form shows the content, so it needs ``read`` beside ``manage``."""
        may = super().has_change_permission(request, obj)
        return may and (obj is None or policy.holds_anywhere(actor_of(request), "read"))

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The form's fields."""
        fields = ("slug", "name", "parameters", "extends", "content", "message")
        return (*fields, "leave", "versions_and_users") if obj else fields

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name never changes."""
        return ("slug", "versions_and_users") if obj else ()

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make, or publish a version."""
        body = templates.Body(data["content"], data["parameters"], data["extends"])
        message = data["message"]
        if row is None:
            made = templates.create_template(
                actor=actor, slug=data["slug"], name=data["name"], body=body, message=message
            )
            return made.template
        if data["name"] != row.name:
            templates.update_template(actor=actor, template=row, name=data["name"])
        base = Base(data["base_version"] or 0)
        options = Options(message=message, base=base, dependents=dependents_of(data))
        given = {"actor": actor, "template": row, "body": body}
        tried = templates.publish_template(**given, options=replace(options, dry_run=True))
        number = tried.version.number
        require_review(tried.affected, data["reviewed"], f"Publish version {number} of {row.slug}")
        outcome = templates.publish_template(**given, options=options)
        if not outcome.unchanged:
            row.done = f"Published version {number} of {row.slug}.{followed(outcome.affected)}"
        return row

    def told(
        self, request: HttpRequest, object_id: str | None, stop: DomainError | ReviewNeeded
    ) -> dict[str, Any]:
        """What was published meanwhile, too."""
        told = super().told(request, object_id, stop)
        if object_id and isinstance(stop, ConflictError):
            row = self.get_object(request, unquote(object_id))
            told["stale"] = _changed_since(row, request.POST.get("base_version", ""))
        return told

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form, and under it what the newest version gives with parameters that one tries."""
        row = self.get_object(request, unquote(object_id))
        extra = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            given, at = request.GET.get("with"), request.GET.get("at", "").strip()
            extra = {"preview": preview(actor_of(request), row, given, at), **extra}
        return super().change_view(request, object_id, form_url, extra)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Its versions, and what was changed of the row itself."""
        row, actor = self.get_known(request, object_id), actor_of(request)
        shown = {}
        if policy.holds_anywhere(actor, "read"):
            shown = {"versions": list_template_versions(actor=actor, template=row)[:MOST_VERSIONS]}
        return super().history_view(request, object_id, {**shown, **(extra_context or {})})

    def remove(self, actor: Any, row: Any) -> None:
        """Hide."""
        templates.delete_template(actor=actor, template=row)

    def obstacles(self, row: Any) -> list[dict[str, Any]]:
        """What extends it."""
        users = list_extending(actor=row.viewer, template=row)
        heirs = [
            {"title": each.slug, "url": reverse("admin:configs_template_change", args=[each.pk])}
            for each in list_template_heirs(row)
        ]
        return [
            obstacle(row.viewer, "Live configurations that extend it", users, "config"),
            {"title": "Templates that extend it", "rows": heirs, "hidden": 0},
        ]

    @staticmethod
    @admin.display(description="Parameters")
    def read_parameters(row: Any) -> str:
        """The newest version's schema of what it takes."""
        newest = _newest(row)
        return as_text(_yaml(newest.parameters)) if newest else ""

    @staticmethod
    @admin.display(description="Extends")
    def read_extends(row: Any) -> str:
        """The templates under the newest version."""
        newest = _newest(row)
        return as_text(_yaml(newest.extends)) if newest else ""

    @staticmethod
    @admin.display(description="Content")
    def read_content(row: Any) -> str:
        """What the newest version says."""
        newest = _newest(row)
        return as_text(_yaml(newest.content.content)) if newest else ""

    @staticmethod
    def newest(row: Any) -> str:
        """The newest version's number."""
        return f"v{row.newest}"

    @staticmethod
    def versions_and_users(row: Any) -> str:
        """The versions, and the configurations that extend it, at which version."""
        versions = format_html_join(
            "",
            "<li>v{}{} <small class='muted'>{}, {}</small></li>",
            (
                (
                    each.number,
                    f" — {each.message}" if each.message else "",
                    each.author,
                    each.published_at.strftime("%Y-%m-%d %H:%M"),
                )
                for each in list_template_versions(actor=row.viewer, template=row)[:MOST_VERSIONS]
            ),
        )
        found, hidden = list_users(actor=row.viewer, template=row)
        users = format_html_join(
            "",
            "<li><a class='link' href='{}'>{}</a> <small class='muted'>{}</small></li>",
            (
                (
                    reverse(
                        "admin:config",
                        args=[str(each.configuration.service), str(each.configuration.environment)],
                    ),
                    each.configuration,
                    _used(each, row),
                )
                for each in found[:MOST_USERS]
            ),
        )
        count = found.count()
        more = f", {MOST_USERS} of them shown" if count > MOST_USERS else ""
        more += f", and {hidden} that you may not see" if hidden else ""
        return format_html(
            "<p>Versions</p><ul>{}</ul><details class='p-users'{}><summary>Live configurations that "
            "extend it: {}{}</summary><ul>{}</ul></details>",
            versions,
            " open" if count <= OPEN_USERS else "",
            count,
            more,
            users,
        )


def _used(live: Any, template: Template) -> str:
    version = used_version(live, template)
    return f"at v{version}{', outdated' if live.outdated else ''}" if version else ""


def _changed_since(row: Any, base: str) -> dict[str, Any]:
    """What the newest version says otherwise than the one that a form began with."""
    versions = list_template_versions(actor=row.viewer, template=row)
    newest, before = versions[0], versions.filter(number=values.whole(base) or 0).first()
    return {
        "base": before.number if before else "…",
        "version": newest.number,
        "author": newest.author,
        "message": newest.message,
        "changes": [shown(each) for each in diff.changes(_tree(before), _tree(newest))],
    }


def _tree(version: TemplateVersion | None) -> dict[str, Any]:
    """All that a version says, as one document."""
    if version is None:
        return {}
    texts = {
        "content": version.content.content,
        "extends": version.extends,
        "parameters": version.parameters,
    }
    return {name: parse_canonical(text) for name, text in texts.items()}

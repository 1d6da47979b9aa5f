"""Templates in the admin: versions and users."""

import json
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.access import policy
from apps.configs.models import Template
from apps.configs.selectors.templates import list_template_versions, list_templates, list_users
from apps.configs.services import templates
from apps.engine import formats
from apps.engine.errors import DomainError
from apps.engine.values import parse_canonical
from apps.portal.base_admin import PortalAdmin
from apps.portal.shared import actor_of


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A template; its newest content as YAML text."""

    content = forms.CharField(widget=UnfoldAdminTextareaWidget(attrs={"rows": 16, "class": "code"}))
    message = forms.CharField(required=False, widget=UnfoldAdminTextInputWidget())

    class Meta:
        model = Template
        fields = ("slug", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = (
            self.instance.versions.select_related("content").first() if self.instance.pk else None
        )
        if newest is not None:
            tree = parse_canonical(newest.content.content)
            self.initial["content"] = formats.render(tree, "yaml")

    def clean_content(self) -> Any:
        """The content as a tree."""
        try:
            return formats.parse(self.cleaned_data["content"], "yaml").tree
        except DomainError as error:
            where = error.problems[0] if error.problems else None
            raise forms.ValidationError(
                f"{f'Line {where.line}: ' if where else ''}{error.detail}"
            ) from error


class TemplateAdmin(PortalAdmin):
    """Templates, their versions and their users."""

    form = TemplateForm
    list_display = ("slug", "name", "newest")
    search_fields = ("slug", "name")
    ordering = ("slug",)

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
        fields = ("slug", "name", "content", "message")
        return (*fields, "versions_and_users") if obj else fields

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name never changes."""
        return ("slug", "versions_and_users") if obj else ()

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make, or publish a version."""
        content, message = data["content"], data["message"]
        if row is None:
            made = templates.create_template(
                actor=actor, slug=data["slug"], name=data["name"], content=content, message=message
            )
            return made.template
        if data["name"] != row.name:
            templates.update_template(actor=actor, template=row, name=data["name"])
        templates.publish_template(actor=actor, template=row, content=content, message=message)
        return row

    def remove(self, actor: Any, row: Any) -> None:
        """Hide."""
        templates.delete_template(actor=actor, template=row)

    @staticmethod
    def newest(row: Any) -> str:
        """The newest version's number."""
        return f"v{row.newest}"

    @staticmethod
    def versions_and_users(row: Any) -> str:
        """The versions, and the configurations that extend it, at which version."""
        versions = format_html_join(
            "",
            "<li>v{} — {} <small class='muted'>{} {:%Y-%m-%d %H:%M}</small></li>",
            (
                (each.number, each.message, each.author, each.published_at)
                for each in list_template_versions(actor=row.viewer, template=row)[:20]
            ),
        )
        users = format_html_join(
            "",
            "<li><a class='link' href='{}'>{}</a> {}</li>",
            (
                (
                    reverse(
                        "admin:config",
                        args=[str(each.configuration.service), str(each.configuration.environment)],
                    ),
                    each.configuration,
                    _used_version(each, row),
                )
                for each in list_users(actor=row.viewer, template=row)[:200]
            ),
        )
        return format_html("<p>Versions</p><ul>{}</ul><p>Used by</p><ul>{}</ul>", versions, users)


def _used_version(live: Any, template: Template) -> str:
    used = [
        each["version"]
        for each in json.loads(live.version.lock)
        if each.get("template") == template.slug
    ]
    return f"at v{used[0]}" + (", outdated" if live.outdated else "") if used else ""

"""Rules that documents must keep, in the admin: conditions, tests, and what is live and would fail."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Rule
from apps.configs.selectors.rules import list_rules, scope_of
from apps.configs.services import rules
from apps.engine import formats
from apps.engine.errors import DomainError
from apps.engine.values import Tree, canonical, parse_canonical
from apps.portal.base_admin import PortalAdmin, SeenFilter, as_text
from apps.portal.refusable import ACKNOWLEDGE
from apps.portal.shared import actor_of

NOTHING = object()
EXAMPLE = "- {config: {database: {pool: 5}}, environment: {slug: production}, holds: false}"


def _area(rows: int) -> UnfoldAdminTextareaWidget:
    return UnfoldAdminTextareaWidget(attrs={"rows": rows, "class": "code", "spellcheck": "false"})


def acknowledgement() -> forms.BooleanField:
    """The switch by which one saves what live configurations fail."""
    return forms.BooleanField(
        required=False,
        label=ACKNOWLEDGE,
        help_text="They stay as they are; their next publish must mend them.",
        widget=UnfoldBooleanSwitchWidget(),
    )


class RuleForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A rule; its value and its tests as YAML texts."""

    severity = forms.ChoiceField(
        choices=Rule.SEVERITIES,
        help_text="An error refuses a publish; a warning is told with it.",
        widget=UnfoldAdminSelectWidget(),
    )
    expression = forms.CharField(
        required=False,
        widget=_area(4),
        help_text="CEL over <code>config</code>, <code>previous</code>, <code>environment</code> "
        "(slug, name, rank, protected) and <code>service</code> (slug, name, labels): "
        "<code>config.database.pool &gt;= 10</code>. Where a key is missing that it reads, it does "
        "not apply.",
    )
    key = forms.CharField(
        required=False,
        label="Or a key",
        widget=UnfoldAdminTextInputWidget(),
        help_text="A configuration test: this key must have the value below.",
    )
    equals = forms.CharField(
        required=False, label="with the value", widget=_area(2), help_text="As YAML or JSON."
    )
    message = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="What its author is told to do about it.",
    )
    tests = forms.CharField(
        required=False,
        widget=_area(6),
        help_text=format_html(
            "Documents, and whether the rule holds: <code>{}</code>. It is saved when all agree.",
            EXAMPLE,
        ),
    )
    acknowledge = acknowledgement()

    class Meta:
        model = Rule
        fields = (
            "name",
            "service",
            "environment",
            "severity",
            "expression",
            "key",
            "equals",
            "message",
            "description",
            "tests",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule: Rule = self.instance
        self.initial["equals"] = rule.equals
        self.initial["tests"] = _lines(rule.tests)

    def clean_equals(self) -> Any:
        """The value as a tree; ``NOTHING`` where none is given."""
        text = self.cleaned_data["equals"].strip()
        return self._tree("equals", text) if text else NOTHING

    def clean_tests(self) -> Any:
        """The list of tests."""
        text = self.cleaned_data["tests"].strip()
        return self._tree("tests", text) if text else []

    def _tree(self, name: str, text: str) -> Tree:
        indented = "\n".join(f"  {line}" for line in text.splitlines())
        try:
            return formats.parse(f"{name}:\n{indented}\n", "yaml").tree[name]
        except DomainError as error:
            where = error.problems[0] if error.problems else None
            line = f"Line {(where.line or 2) - 1}: " if where else ""
            raise forms.ValidationError(f"{line}{error.detail}") from error

    def _post_clean(self) -> None:
        """The service checks and writes; the row here is only shown."""


def _lines(tests: str) -> str:
    """The tests as YAML, one on each line."""
    return "".join(f"- {canonical(each)}\n" for each in parse_canonical(tests or "[]"))


class RuleAdmin(PortalAdmin):
    """Rules and configuration tests."""

    form = RuleForm
    list_display = ("name", "severity_badge", "where", "condition", "message")
    list_filter = ("severity", ("service", SeenFilter), ("environment", SeenFilter))
    search_fields = ("name", "expression", "key", "message")
    ordering = ("name",)
    deleting = "It ends: no publish is held to it any more."
    read_only = {
        "expression": "read_condition",
        "key": "",
        "equals": "",
        "tests": "read_tests",
        "acknowledge": "",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        """Those that the person may know of."""
        actor = actor_of(request)
        known = policy.holds_anywhere(actor, "list")
        return list_rules(actor=actor) if known else Rule.objects.none()

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A rule's name and scope never change."""
        return ("name", "service", "environment") if obj else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Needs ``manage`` somewhere; the service asks where."""
        return policy.holds_anywhere(actor_of(request), "manage")

    def place(self, row: Any) -> Place:
        """Rights hang on its scope."""
        return scope_of(row)

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make or change."""
        members = {name: data[name] for name in rules.MEMBERS if name not in ("key", "equals")}
        if data["key"]:
            members["key"] = data["key"]
        if data["key"] and data["equals"] is not NOTHING:
            members["equals"] = data["equals"]
        acknowledge = data["acknowledge"]
        if row is None:
            place = Place(data["service"], data["environment"])
            return rules.create_rule(
                actor=actor, name=data["name"], place=place, acknowledge=acknowledge, **members
            )
        return rules.update_rule(actor=actor, rule=row, acknowledge=acknowledge, **members)

    def remove(self, actor: Any, row: Any) -> None:
        """End it."""
        rules.delete_rule(actor=actor, rule=row)

    @staticmethod
    @admin.display(description="Severity", ordering="severity")
    def severity_badge(row: Rule) -> str:
        """In its colour."""
        return format_html("<span class='badge {}'>{}</span>", row.severity, row.severity)

    @staticmethod
    @admin.display(description="Holds for")
    def where(row: Rule) -> str:
        """Its scope in words."""
        return scope_of(row).words

    @staticmethod
    @admin.display(description="Condition")
    def read_condition(row: Rule) -> str:
        """What must hold, whole."""
        return as_text(f"{row.key} = {row.equals}" if row.key else row.expression)

    @staticmethod
    @admin.display(description="Tests")
    def read_tests(row: Rule) -> str:
        """Documents, and whether it holds for them."""
        return as_text(_lines(row.tests))

    @staticmethod
    @admin.display(description="Condition")
    def condition(row: Rule) -> str:
        """What must hold."""
        text = f"{row.key} = {row.equals}" if row.key else row.expression
        return format_html("<code>{}</code>", text[:120] + ("…" if len(text) > 120 else ""))  # noqa: PLR2004 - a line

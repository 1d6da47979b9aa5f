"""Connections in the admin: the places that the server may call."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.core.actor import Actor
from apps.core.models import Connection
from apps.engine.errors import DomainError
from apps.portal.base_admin import PortalAdmin
from apps.portal.shared import actor_of
from apps.vault.connections import (
    ConnectionData,
    delete_connection,
    find_credential,
    list_connections,
    save_connection,
)
from apps.vault.models import Secret
from apps.vault.selectors import key_of, list_secrets, place_of


def _lines(rows: int, label: str, help_text: str) -> forms.CharField:
    widget = UnfoldAdminTextareaWidget(attrs={"rows": rows})
    return forms.CharField(label=label, required=False, help_text=help_text, widget=widget)


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A connection; its roles and services one on each line, its credential by name."""

    actor: Actor

    credential_name = forms.ChoiceField(
        label="Credential",
        help_text="The secret that signs a webhook's calls, the login's password, or the secret key. It cannot be "
        "deleted while it is used here.",
        widget=UnfoldAdminSelectWidget(),
    )
    role_lines = _lines(
        3, "Roles", "PostgreSQL roles whose passwords may be set, one on each line."
    )
    service_lines = _lines(
        3,
        "Services",
        "Services whose secrets may use it by decision of those who write them, one on each "
        "line: checkout, or checkout@production. For others an administrator sets the rotation.",
    )

    class Meta:
        model = Connection
        fields = ("slug", "kind", "address", "login", "tls", "authorities")
        help_texts = {
            "address": "https://HOST/PATH, postgres://HOST:PORT/DATABASE, or, of S3-compatible storage, "
            "https://HOST/BUCKET/PREFIX?region=NAME.",
            "login": "The PostgreSQL role that may change the passwords of the roles below, or the id "
            "of the access key of S3 storage.",
            "authorities": "Certificates (PEM) that its own is verified by; empty: the usual ones.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secrets = {str(each): each for each in _revealed(self.actor)}
        credential: Any = self.fields["credential_name"]
        row = self.instance
        now = _credential_of(row) if row.pk else ""
        names = sorted({*self.secrets, now} - {""})
        credential.choices = [("", "Choose one"), *((each, each) for each in names)]
        credential.initial = now
        self.fields["role_lines"].initial = "\n".join(row.roles)
        self.fields["service_lines"].initial = "\n".join(row.services)

    def clean_credential_name(self) -> Secret:
        """The secret of that name."""
        found = self.secrets.get(self.cleaned_data["credential_name"])
        if found is None:
            raise forms.ValidationError("You may not reveal this secret, so you cannot use it.")
        return found


def _revealed(actor: Actor) -> list[Secret]:
    """The secrets that the actor may have used: those that he may reveal."""
    return [
        each
        for each in list_secrets(actor=actor)
        if policy.allowed(actor, "reveal", place_of(each), [key_of(each.slug)])
    ]


def _credential_of(row: Connection) -> str:
    try:
        return str(find_credential(row))
    except DomainError:
        return ""


class ConnectionAdmin(PortalAdmin):
    """Connections; for administrators alone."""

    form = ConnectionForm
    list_display = ("slug", "kind", "address", "used_by")
    search_fields = ("slug", "address")
    ordering = ("slug",)
    fields = (
        "slug",
        "kind",
        "address",
        "credential_name",
        "login",
        "role_lines",
        "tls",
        "authorities",
        "service_lines",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        """All of them, for those who may see them."""
        if not self.has_view_permission(request):
            return Connection.objects.none()
        return list_connections().prefetch_related(
            "rotations__secret__service", "rotations__secret__environment"
        )

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Needs ``manage`` everywhere."""
        return policy.allowed_free(actor_of(request), "manage", EVERYWHERE)

    has_add_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission
    has_view_history_permission = has_view_permission

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The form, which knows whose it is."""
        made = super().get_form(request, obj, change=change, **kwargs)
        made.actor = actor_of(request)
        return made

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make or change."""
        members = {
            name: data[name] for name in ("slug", "kind", "address", "login", "tls", "authorities")
        }
        given = ConnectionData(
            **members,
            credential=data["credential_name"],
            roles=data["role_lines"].split(),
            services=data["service_lines"].split(),
        )
        return save_connection(actor=actor, data=given, connection=row)

    def remove(self, actor: Any, row: Any) -> None:
        """Hide."""
        delete_connection(actor=actor, connection=row)

    def obstacles(self, row: Any) -> list[dict[str, Any]]:
        """The secrets that rotate through it."""
        rows = [{"title": str(each.secret), "url": ""} for each in row.rotations.all()]
        return [{"title": "Secrets that rotate through it", "rows": rows, "hidden": 0}]

    @staticmethod
    @admin.display(description="Used by")
    def used_by(row: Connection) -> str:
        """The secrets that rotate through it."""
        return ", ".join(sorted(str(each.secret) for each in row.rotations.all()))

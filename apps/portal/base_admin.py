"""The admin classes' common part: our rights, our services, our errors."""

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.utils import unquote
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.configs.selectors.places import list_environments, list_services
from apps.engine.errors import DomainError
from apps.portal.addresses import may_ask, place_url
from apps.portal.refusable import refusable, shown_again
from apps.portal.reviewing import ReviewNeeded, review_of
from apps.portal.shared import actor_of, note, tell
from apps.registry.models import Environment, Service

KNOWN: dict[Any, Any] = {Service: list_services, Environment: list_environments}
"""How one lists what a person may know of a model that rows point to."""


class SeenFilter(RelatedDropdownFilter):  # type: ignore[misc] # unfold is untyped
    """A filter that offers what the rows have that the person may know of, and nothing else."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: Any
    ) -> list[tuple[Any, str]]:
        """Keys and names."""
        keys = model_admin.get_queryset(request).order_by().values(field.name)
        found = field.related_model._default_manager.filter(pk__in=keys)  # noqa: SLF001
        return [(row.pk, str(row)) for row in found]


class PortalAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc] # both are untyped
    """An admin class that asks ``access.policy`` and writes through services.

    ``write`` gets the row (``None`` for a new one) and the form's cleaned data, and returns the
    row that the service made. A :class:`DomainError` rises out of Django's transaction first
    and is then shown in the form, with what was typed still in it.
    """

    actions = None
    list_per_page = 50
    list_filter_submit = True  # without it there is no button that applies a drop-down or a text
    show_full_result_count = False
    compressed_fields = True
    change_form_outer_before_template = "portal/rights_link.html"
    delete_confirmation_template = "portal/delete.html"
    object_history_list_template = "portal/row_history.html"
    deleting = "It is taken away."
    """What deleting a row does."""
    read_only: Mapping[str, str] = {}
    """By a field of the form: the method that shows it to who may only read it; ``""``: nothing."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The form's fields; for who may only read, what shows them, without what one only writes."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": self._shown(options["fields"])})
            for title, options in fieldsets
        ]

    def _shown(self, fields: Any) -> list[Any]:
        found = [self.read_only.get(each, each) for each in fields]
        return [each for each in found if each]

    def place(self, _row: Any) -> Place:
        """What the row's rights hang on."""
        return EVERYWHERE

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make or change a row by a service."""
        raise NotImplementedError

    def remove(self, actor: Any, row: Any) -> None:
        """Hide a row by a service."""
        raise NotImplementedError

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever is logged in; the sidebar decides what is shown."""
        return bool(request.user.is_authenticated)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may list something sees the lists; the queryset holds what he may know of."""
        return policy.holds_anywhere(actor_of(request), "list")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Needs ``manage`` everywhere."""
        return policy.allowed(actor_of(request), "manage", EVERYWHERE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Needs ``manage`` on the row."""
        place = EVERYWHERE if obj is None else self.place(obj)
        return policy.allowed(actor_of(request), "manage", place)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Needs ``manage`` on the row."""
        return self.has_change_permission(request, obj)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """The row when the person may know of it, with ``viewer`` for what is shown beside it."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.viewer = actor_of(request)
        return row

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A row's history, for those who may know of the row."""
        self.get_known(request, object_id)
        return super().history_view(request, object_id, extra_context)  # type: ignore[no-any-return]

    def history_form_view(
        self,
        request: HttpRequest,
        object_id: str,
        version_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A row as it was, for those who may know of the row."""
        self.get_known(request, object_id)
        return super().history_form_view(  # type: ignore[no-any-return]
            request, object_id, version_id, extra_context
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form, with the ways to the rights and the history for those who may open them."""
        row = self.get_object(request, unquote(object_id))
        ways = {}
        if row is not None:
            may_open = self.may_open_history(request, row)
            ways = {"rights_url": self.rights_url(row), "show_history": may_open}
        return super().change_view(  # type: ignore[no-any-return]
            request, object_id, form_url, {**ways, **(extra_context or {})}
        )

    def may_open_history(self, request: HttpRequest, row: Any) -> bool:
        """Whether the way to the row's history leads anywhere."""
        return self.has_view_history_permission(request, row)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Of services and environments, those that the person may know of, and the row's own."""
        related = db_field.remote_field.model
        list_known = KNOWN.get(related)
        if list_known is not None:
            match = request.resolver_match
            row = match.kwargs.get("object_id") if match else None
            own = self.model._default_manager.filter(pk=row).values(db_field.name)  # noqa: SLF001 - Django's own name
            known = list_known(actor=actor_of(request)).order_by().values("pk")
            kwargs["queryset"] = related.objects.present().filter(Q(pk__in=known) | Q(pk__in=own))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def rights_url(self, row: Any) -> str:
        """Who may do what with it; empty for those who may not ask."""
        if not may_ask(row.viewer, self.place(row)):
            return ""
        return place_url(self.place(row))

    def get_known(self, request: HttpRequest, object_id: str) -> Any:
        """The row, or 404 as for one that does not exist."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        return row

    def has_view_history_or_change_history_permission(
        self, request: HttpRequest, obj: Any = None
    ) -> bool:
        """What the package asks: there is no changing of histories."""
        return self.has_view_history_permission(request, obj)

    def has_change_history_permission(self, _request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes a history."""
        return False

    def has_view_history_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Auditors and those who manage it see a row's history."""
        place = EVERYWHERE if obj is None else self.place(obj)
        actor = actor_of(request)
        return policy.allowed(actor, "audit", place) or policy.allowed(actor, "manage", place)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Hand the form's data to the service, on a fresh row."""
        row = self.model._default_manager.get(pk=obj.pk) if change else None  # noqa: SLF001
        made = self.write(actor_of(request), row, form.cleaned_data)
        request.done = getattr(made, "done", "")  # type: ignore[attr-defined] # read below
        obj.pk = made.pk
        obj.__dict__.update(made.__dict__)

    def message_user(self, request: HttpRequest, message: Any, *args: Any, **kwargs: Any) -> None:
        """Django's message, or what the row that ``write`` made says of it in ``done``."""
        super().message_user(request, getattr(request, "done", "") or message, *args, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Relations are written by the service as well."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Hide the row by its service."""
        self.remove(actor_of(request), obj)

    def obstacles(self, row: Any) -> list[dict[str, Any]]:
        """What stands in the way of hiding the row: titles, rows with links, how many are hidden."""
        return []

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Nothing is erased, so nothing stands in the way here; the service decides."""
        return [str(each) for each in objs], {}, set(), []

    def log_addition(self, *_args: Any) -> None:
        """The ledger is the one log."""

    def log_change(self, *_args: Any) -> None:
        """The ledger is the one log."""

    def log_deletions(self, *_args: Any) -> None:
        """The ledger is the one log."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form; a refusal by the service becomes an error of the form. What wants to be looked at
        first is shown with what was typed, and a button that confirms it.
        """
        try:
            answer: HttpResponse = super().changeform_view(
                request, object_id, form_url, extra_context
            )
        except (DomainError, ReviewNeeded) as stop:
            request.stop = stop  # type: ignore[attr-defined] # read by the form below
            if isinstance(stop, DomainError):
                note(request, stop)
            told = self.told(request, object_id, stop)
            answer = super().changeform_view(
                shown_again(request, stop), object_id, form_url, {**(extra_context or {}), **told}
            )
        return answer

    def told(
        self, _request: HttpRequest, _object_id: str | None, stop: DomainError | ReviewNeeded
    ) -> dict[str, Any]:
        """What the form shows beside the error."""
        if not isinstance(stop, ReviewNeeded):
            return {}
        return {"review": review_of(stop), "preview": None, "rights_url": ""}

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The confirmation with what is in the way; a refusal is shown above the list."""
        row = self.get_object(request, unquote(object_id))
        may = row is not None and self.has_delete_permission(request, row)
        found = self.obstacles(row) if may else []
        held = any(each["rows"] or each["hidden"] for each in found)
        shown = {"effect": self.deleting, "obstacles": found, "is_held": held}
        try:
            answer: HttpResponse = super().delete_view(
                request, object_id, {**shown, **(extra_context or {})}
            )
        except DomainError as error:
            tell(request, error)
            answer = self.response_post_save_change(request, None)
        return answer

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The form class, which knows on its second turn why the first one was stopped."""
        base = super().get_form(request, obj, change=change, **kwargs)
        return refusable(base, request, getattr(request, "stop", None))


def as_text(text: str) -> str:
    """A text of many lines, as somebody reads it who may not change it."""
    shown = "<pre class='portal code p-pre p-wrap'>{}</pre>"
    return format_html(shown, text.strip()) if text.strip() else ""

"""Filters of the admin's lists beyond those of a column."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin.text_filters import TextFilter

from apps.configs.models import Template
from apps.configs.selectors.matrix import with_label
from apps.configs.selectors.templates import in_live_use
from apps.portal.shared import actor_of


class LabelFilter(TextFilter):  # type: ignore[misc] # unfold is untyped
    """Services with a label: ``name``, or ``name=value``."""

    title, parameter_name = "label (name or name=value)", "label"

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        """Those that have it."""
        label = (self.value() or "").strip()
        return with_label(queryset, label) if label else queryset


class _YesNoFilter(SimpleListFilter):
    """Yes or no, as ``narrow`` answers it."""

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The two."""
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those of which it is so."""
        value = self.value()
        return self.narrow(request, queryset, value == "yes") if value else queryset

    def narrow(self, request: HttpRequest, queryset: Any, wanted: bool) -> Any:
        """Those of which it is so, or of which it is not."""
        raise NotImplementedError


class InUseFilter(_YesNoFilter):
    """Templates that a live configuration extends, as far as the person may know of it."""

    title, parameter_name = "in live use", "used"

    def narrow(self, request: HttpRequest, queryset: Any, wanted: bool) -> QuerySet[Template]:
        """See the class."""
        return in_live_use(queryset, actor=actor_of(request), used=wanted)


class LiveTokensFilter(_YesNoFilter):
    """Service accounts that can log in: with a token that is neither withdrawn nor over."""

    title, parameter_name = "has live tokens", "live"

    def narrow(self, _request: HttpRequest, queryset: Any, wanted: bool) -> Any:
        """See the class."""
        return queryset.filter(live_tokens__gt=0) if wanted else queryset.filter(live_tokens=0)

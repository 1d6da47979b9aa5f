"""Forms of the admin whose saving a service stopped: shown again, with why, and with what was typed."""

from copy import copy
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from apps.configs.services.live_failures import FAILING, HOW
from apps.engine.errors import DomainError, Problem
from apps.portal.reviewing import ReviewNeeded

ACKNOWLEDGE = "Save although live configurations fail"
"""The switch by which one saves what live configurations fail."""


def refusable(base: Any, request: HttpRequest, stop: DomainError | ReviewNeeded | None) -> Any:
    """The form class, which knows on its second turn why the first one was stopped."""

    class RefusableForm(base):  # type: ignore[misc] # made by Django at run time
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if isinstance(stop, ReviewNeeded):
                self.initial |= _typed(self, request)

        def _get_validation_exclusions(self) -> set[str]:
            """No check by the model: the service checks, in words of our own."""
            return {field.name for field in self._meta.model._meta.fields}  # noqa: SLF001

        def clean(self) -> dict[str, Any]:
            data: dict[str, Any] = super().clean()
            if isinstance(stop, DomainError):
                raise ValidationError(_said(stop))
            return data

    return RefusableForm


def shown_again(request: HttpRequest, stop: DomainError | ReviewNeeded) -> HttpRequest:
    """The request of the second turn: nothing is saved in it, and after a look nothing is wrong."""
    if isinstance(stop, DomainError):
        return request
    again = copy(request)
    again.method = "GET"
    return again


def _typed(form: Any, request: HttpRequest) -> dict[str, Any]:
    """What was typed into a form's fields, as their widgets show it."""
    return {
        name: field.widget.value_from_datadict(request.POST, request.FILES, form.add_prefix(name))
        for name, field in form.fields.items()
    }


def _said(refusal: DomainError) -> str:
    """A refusal, its problems on a line each; those of live configurations with their place."""
    lines = [_line(problem) for problem in refusal.problems]
    if refusal.code == FAILING or not lines:
        lines.insert(0, refusal.detail.replace(HOW, f"choose “{ACKNOWLEDGE}”"))
    return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))


def _line(problem: Problem) -> str:
    place = f"{problem.service}@{problem.environment} {problem.pointer}: "
    return f"{place if problem.service else ''}{problem.message}"

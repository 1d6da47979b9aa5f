"""Looking at what an act does to other configurations before it is done."""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from unfold.widgets import UnfoldBooleanSwitchWidget

from apps.configs.services.kernel import Affected
from apps.engine.values import canonical, checksum
from apps.portal.timeline import shown

MOST_SHOWN: Final = 100
MOST_CHANGES: Final = 20
STAYS: Final = {
    "pinned": "it is pinned to an earlier version",
    "protected": "it is in a protected environment",
    "restricted": "it has keys there that need a right of their own",
    "invalid": "it would be invalid",
}


class ReviewNeeded(Exception):  # noqa: N818 - nothing is wrong
    """Other configurations would follow, or stay behind, and nobody has looked at them yet."""

    def __init__(self, affected: Sequence[Affected]) -> None:
        super().__init__("Look at what would follow, and save again.")
        self.affected = affected


class ReviewedForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A form of what others are made of: it says what was looked at, and what becomes of those that
    would be invalid.
    """

    reviewed = forms.CharField(required=False, widget=forms.HiddenInput())
    leave = forms.BooleanField(
        required=False,
        label="Save although others would be invalid",
        help_text="Configurations that would be invalid stay as they are, outdated.",
        widget=UnfoldBooleanSwitchWidget(),
    )


def dependents_of(data: dict[str, Any]) -> str:
    """What a form says of those that would be invalid, as services take it."""
    return "leave" if data["leave"] else "refuse"


def require_review(affected: Sequence[Affected], reviewed: str) -> None:
    """Raise :class:`ReviewNeeded` unless ``reviewed`` is the seal of exactly this."""
    if affected and _seal(affected) != reviewed:
        raise ReviewNeeded(affected)


def others_of(affected: Sequence[Affected]) -> dict[str, Any]:
    """What pages show of the affected: each with its changes or why it stays, and how many are
    hidden. ``seal`` is what a form sends back of it.
    """
    seen = [each for each in affected if each.place.service]
    rows = [
        {
            "place": str(each.place),
            "stays": STAYS.get(each.left, each.left),
            "changes": [shown(change) for change in each.changes[:MOST_CHANGES]],
            "more": max(0, len(each.changes) - MOST_CHANGES),
        }
        for each in seen[:MOST_SHOWN]
    ]
    return {
        "count": len(affected),
        "rows": rows,
        "more": len(seen) - len(rows),
        "hidden": len(affected) - len(seen),
        "seal": _seal(affected),
    }


def _seal(affected: Sequence[Affected]) -> str:
    told = [
        [str(each.place), each.left, [change.as_dict() for change in each.changes]]
        for each in affected
    ]
    return checksum(canonical(told))

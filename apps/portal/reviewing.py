"""Looking at what an act does to other configurations before it is done."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from django import forms
from unfold.widgets import UnfoldBooleanSwitchWidget

from apps.configs.services.kernel import Affected
from apps.engine.values import canonical, checksum
from apps.portal.timeline import shown

MOST_GROUPS: Final = 100
MOST_PLACES: Final = 200
MOST_CHANGES: Final = 20
MOST_KEYS: Final = 3
STAYS: Final = {
    "pinned": "it is pinned to an earlier version",
    "protected": "it is in a protected environment",
    "restricted": "it has keys there that need a right of their own",
    "invalid": "it would be invalid",
    "restored": "it is what it was then",
}


class ReviewNeeded(Exception):  # noqa: N818 - nothing is wrong
    """Other configurations would follow, or stay behind, and nobody has looked at them yet.

    ``deed`` is what is to be confirmed: ``Publish version 2``.
    """

    def __init__(self, affected: Sequence[Affected], deed: str) -> None:
        super().__init__("Look at what would follow, and confirm it.")
        self.affected = affected
        self.deed = deed


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


def require_review(affected: Sequence[Affected], reviewed: str, deed: str) -> None:
    """Raise :class:`ReviewNeeded` unless ``reviewed`` is the seal of exactly this."""
    if affected and _seal(affected) != reviewed:
        raise ReviewNeeded(affected, deed)


def review_of(stop: ReviewNeeded) -> dict[str, Any]:
    """What the page shows that asks for a confirmation: the affected, their ``seal``, which the form
    sends back, and what the button does in words.
    """
    others = others_of(stop.affected)
    on = f" to {_counted(others['follow'])}" if others["follow"] else ""
    outdated = others["count"] - others["follow"]
    left = f"{', and' if on else ' and'} leave {_counted(outdated)} outdated" if outdated else ""
    return {
        **others,
        "seal": _seal(stop.affected),
        "deed": stop.deed,
        "confirm": f"{stop.deed}{on}{left}",
    }


def _counted(count: int) -> str:
    return f"{count} configuration{'' if count == 1 else 's'}"


def others_of(affected: Sequence[Affected]) -> dict[str, Any]:
    """What pages show of the affected: those that change alike or stay for the same reason together,
    how many follow in which environment, and how many are hidden.
    """
    seen = [each for each in affected if each.place.service]
    alike: dict[str, list[Affected]] = {}
    for each in seen:
        alike.setdefault(canonical([each.left, _told(each)]), []).append(each)
    groups = [_group(found) for found in list(alike.values())[:MOST_GROUPS]]
    environments = Counter(each.place.environment for each in seen if not each.left)
    return {
        "count": len(affected),
        "follow": sum(not each.left for each in affected),
        "stay": sum(bool(each.left) for each in affected),
        "groups": groups,
        "environments": [
            {"name": str(each), "count": environments[each]}
            for each in sorted(filter(None, environments), key=lambda each: -each.rank)
        ],
        "more": len(seen) - sum(each["count"] for each in groups),
        "hidden": len(affected) - len(seen),
    }


def _group(found: Sequence[Affected]) -> dict[str, Any]:
    changes = [shown(change) for change in found[0].changes]
    keys = list(dict.fromkeys(each["key"] or "(all)" for each in changes))
    return {
        "count": len(found),
        "places": [str(each.place) for each in found[:MOST_PLACES]],
        "unnamed": max(0, len(found) - MOST_PLACES),
        "stays": STAYS.get(found[0].left, found[0].left),
        "keys": keys[:MOST_KEYS],
        "other_keys": max(0, len(keys) - MOST_KEYS),
        "changes": changes[:MOST_CHANGES],
        "more": max(0, len(changes) - MOST_CHANGES),
    }


def _told(each: Affected) -> list[Any]:
    return [change.as_dict() for change in each.changes]


def _seal(affected: Sequence[Affected]) -> str:
    told = [[str(each.place), each.left, _told(each)] for each in affected]
    return checksum(canonical(told))

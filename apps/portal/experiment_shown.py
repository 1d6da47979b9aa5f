"""An experiment as its pages show it: who gets what, and what is another in each variant."""

from datetime import timedelta
from typing import Any, Final

from apps.access.policy import Place
from apps.configs.selectors.comparing import merge_keys_of
from apps.configs.selectors.configurations import Published, find_live
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.reads import note_given
from apps.engine import diff, formats, values
from apps.engine import overlays as laying
from apps.engine.errors import DomainError, UnrepresentableError
from apps.engine.values import Tree, parse_canonical
from apps.portal.figures import number
from apps.portal.timeline import shown
from apps.rollouts import selectors
from apps.rollouts.groups import place_of
from apps.rollouts.models import Experiment

BEYOND_COLOURS = 6
SOON: Final = timedelta(seconds=30)
"""Until then a start that is due may be on its way."""


def is_overdue(row: Experiment) -> bool:
    """Whether it was to start by itself and has not."""
    due = row.starts_at
    return row.state == Experiment.DRAFT and due is not None and due + SOON < clock.now()


def live_at(actor: Actor, place: Place) -> Published | None:
    """What is live there, as the actor sees it, who is counted among its readers; ``None`` too once
    that is retired.
    """
    live = find_live(actor=actor, place=place)
    if live is None or live.row.retired:
        return None
    note_given(actor=actor, given=[live])
    return live


def variants_of(actor: Actor, row: Experiment, live: Published | None) -> list[dict[str, Any]]:
    """The variants with their shares of all units, and what each makes another of what is live."""
    patches = selectors.seen_patches(actor=actor, experiment=row)
    partial = selectors.partly_seen(actor=actor, experiment=row)
    rows = list(row.variants.all())
    weights = sum(each.weight for each in rows)
    inside = (100 - row.holdout) * row.share / 100
    found = []
    for index, each in enumerate(rows):
        patch = patches.get(each.name)
        found.append(
            {
                "name": each.name,
                "index": index % BEYOND_COLOURS,
                "is_control": index == 0,
                "weight": number(100 * each.weight / weights),
                "share": inside * each.weight / weights,
                "of_all": number(inside * each.weight / weights),
                "text": text_of(patch) if patch else "",
                "is_partial": each.name in partial,
                **(difference_of(place_of(row), live, patch) if live and patch else {}),
            }
        )
    return found


def shares_of(row: Experiment, variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who of all units gets what, as parts of one bar: ``x`` and ``width`` in percent."""
    beside = (100 - row.holdout) * (100 - row.share) / 100
    parts = [
        *(
            {"name": each["name"], "share": each["share"], "index": each["index"]}
            for each in variants
        ),
        {"name": "not in this experiment", "share": beside, "index": "none"},
        {"name": "held out", "share": row.holdout, "index": "held"},
    ]
    at, found = 0.0, []
    for part in parts:
        share = float(part["share"])
        if share > 0:
            found.append({**part, "x": at, "words": f"{number(share)} %"})
        at += share
    return found


def difference_of(place: Place, live: Published, patch: Tree) -> dict[str, Any]:
    """What a patch makes another of what is live, as changes and as two texts."""
    try:
        made, _secrets = laying.lay(live.tree, live.secrets, patch)
    except DomainError as error:
        return {"refusal": error.detail}
    changes = [shown(each) for each in diff.changes(live.tree, made, merge_keys_of(place))]
    return {"changes": changes, "before": text_of(live.tree), "after": text_of(made)}


def text_of(tree: Tree) -> str:
    """As YAML where that can hold it."""
    try:
        return formats.render(tree, "yaml").rstrip("\n")
    except UnrepresentableError:
        return formats.render(tree, "json").rstrip("\n")


def audience_of(row: Experiment) -> str:
    """The condition as it is written; empty for everyone."""
    condition = parse_canonical(row.audience)
    return values.compact(condition) if condition else ""

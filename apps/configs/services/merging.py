"""Bringing a draft up to what is live: its author says what is taken where both changed."""

from collections.abc import Mapping
from dataclasses import replace

from apps.access import policy
from apps.access.policy import Place
from apps.configs import sources
from apps.configs.models import Change
from apps.configs.restricted import extends_with_hidden, shown_extends
from apps.configs.services.bases import Base, Options, check_choices, take_base
from apps.configs.services.drafts import Draft, save_draft
from apps.configs.services.kernel import load_state
from apps.core.actor import Actor


def merge_draft(*, actor: Actor, place: Place, draft: Draft, choices: Mapping[str, str]) -> Change:
    """Keep the author's text with what was published since its base, as a draft on what is live.

    ``choices`` say by pointer which side is taken where both changed. Nothing is published. Raises
    :class:`ConflictError` while there are others, and what :func:`save_draft` raises.
    """
    policy.require(actor, "read", place)
    check_choices(choices)
    source = sources.from_text(draft.content, draft.format, draft.extends)
    state = load_state(place)
    options = Options(base=Base(draft.base_version), on_stale="merge", choices=choices)
    reads = policy.guard(actor, "read", place)
    source = extends_with_hidden(actor, place, source, state.extends)
    merged = take_base(state, options, source, reads)
    there = {str(each["template"]).lower() for each in state.extends}
    extends = [
        shown_extends([each], reads)[0] if str(each["template"]).lower() in there else each
        for each in (state.extends if merged.extends is None else merged.extends)
    ]
    wanted = replace(draft, content=merged.content, extends=extends, base_version=state.number)
    return save_draft(actor=actor, place=place, draft=wanted, force=True)

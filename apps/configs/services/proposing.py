"""Drafts that are handed over: whoever may write but not publish asks those who may."""

from dataclasses import replace
from typing import Any

from apps.access import policy, selectors
from apps.access.policy import Place
from apps.configs import sources
from apps.configs.models import Change
from apps.configs.selectors.proposals import get_proposal
from apps.configs.services.bases import Base, Options
from apps.configs.services.drafts import Draft, save_draft
from apps.configs.services.kernel import Outcome, State, load_state, lock_composition
from apps.configs.services.planning import plan_written
from apps.configs.services.publishing import Publication, publish_many, written_source
from apps.configs.sources import Source
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import locked, writing
from apps.engine import values
from apps.engine.errors import (
    NOTHING_HERE,
    ConflictError,
    ForbiddenError,
    InvalidConfigurationError,
    InvalidError,
    NotFoundError,
    Problem,
    SecondFactorRequiredError,
    UnauthenticatedError,
)
from apps.engine.paths import format_path, from_pointer
from apps.engine.values import parse_canonical


def propose(*, actor: Actor, place: Place, draft: Draft) -> Change:
    """Keep the author's text, and show it to those who may publish there. Needs ``edit`` there.

    What the author saves afterwards they see as well, until he takes it back. Raises
    :class:`MalformedError` for what cannot be read, and what :func:`save_draft` raises.
    """
    sources.from_text(draft.content, draft.format)
    with writing():
        change = save_draft(actor=actor, place=place, draft=draft)
        change.handed_at, change.answer = clock.now(), ""
        change.save(update_fields=["handed_at", "answer"])
    return change


def take_back(*, actor: Actor, place: Place) -> None:
    """Show the author's own draft to nobody else any more."""
    policy.require(actor, "list", place)
    found = Change.objects.filter(
        author_id=actor.user_id,
        configuration__service=place.service,
        configuration__environment=place.environment,
    )
    found.update(handed_at=None)


def send_back(*, actor: Actor, place: Place, number: int, answer: str) -> None:
    """Give a draft back to its author, with a word. Needs ``publish``, as looking at it does."""
    values.check({"answer": answer})
    with writing():
        change = _held(actor, place, number)
        change.handed_at, change.answer = None, f"{actor.name}: {answer}".strip()
        change.save(update_fields=["handed_at", "answer"])


def publish_proposal(
    *, actor: Actor, place: Place, number: int, known: str, options: Options
) -> Outcome:
    """Publish what somebody handed over, in the actor's own name; its author is recorded.

    The rights of both hold: the author may have written nothing that he may not, such as a
    reference to what he cannot read, and the actor may publish it. What was published since the
    draft's base is merged in. ``known`` is the time of the draft that the actor looked at, and
    ``options.base`` what was live then. Raises :class:`ConflictError` when either has moved, and what
    :func:`publish` raises. The draft is gone afterwards, but for a dry run.
    """
    policy.require(actor, "publish", place)
    with writing():
        lock_composition()  # before any draft, as redacting does
        change = _held(actor, place, number)
        if clock.rfc3339(change.updated_at) != known:
            raise ConflictError(
                "Its author has changed the draft meanwhile. Look at it again.", code="draft_moved"
            )
        source = _as_author(actor, change, place)
        given = replace(options, drafted_by=f"user:{change.author.get_username()}")
        item = Publication(place, source, given)
        outcome = publish_many(actor=actor, items=[item])[0]
        if not options.dry_run:
            change.delete()
    return outcome


def _held(actor: Actor, place: Place, number: int) -> Change:
    """The draft, locked: its author may have taken it back since it was looked for."""
    change = locked(get_proposal(actor=actor, place=place, number=number))
    if change.handed_at is None:
        raise NotFoundError(NOTHING_HERE)
    return change


def _as_author(actor: Actor, change: Change, place: Place) -> Source:
    """What the draft says, as its author may say it: merged, and with what he does not see. What is
    wrong with it is told as the actor may know of it.
    """
    try:
        author = selectors.actor_of_user(change.author)
    except (UnauthenticatedError, SecondFactorRequiredError) as error:
        raise ForbiddenError("Its author cannot log in any more.", right="edit") from error
    if not any(policy.allowed(author, verb, place) for verb in ("edit", "publish")):
        raise ForbiddenError("Its author may not write here any more.", right="edit")
    source = sources.from_text(change.content, change.format, parse_canonical(change.extends))
    options = Options(base=Base(change.base_version), on_stale="merge")
    state = load_state(place)
    try:
        whole = written_source(state, Publication(place, source, options), author)
    except ConflictError as error:
        raise _clashing(state, error) from error
    problems = _problems_for(author, state, whole)
    if problems:
        told = _problems_for(actor, state, whole)
        known = {each.pointer for each in told}
        told += [each for each in problems if each.pointer not in known]
        raise InvalidConfigurationError(
            f"{len(told)} problem(s) must be solved by its author.", told
        )
    return whole


def _problems_for(actor: Actor, state: State, source: Source) -> list[Problem]:
    """What refuses the source to somebody: where a reference leads is told as far as he may read it."""
    try:
        return plan_written(actor, state, source, "publish", "")[1]
    except InvalidError as error:
        return list(error.problems) or [Problem("", error.code, error.detail)]


def _clashing(state: State, error: ConflictError) -> ConflictError:
    """The refusal of a draft that clashes, for those who cannot merge it: its author can."""
    found: Any = error.extra.get("conflicts") or []
    keys = ", ".join(format_path(from_pointer(each["pointer"])) or "all of it" for each in found)
    named = f": {keys}" if keys else ""
    return ConflictError(
        f"Both this draft and version {state.number} change the same{named}. Send it back, so that "
        "its author merges it.",
        code=error.code,
    )

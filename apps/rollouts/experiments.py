"""Making, starting and stopping experiments, and publishing what won."""

from collections.abc import Sequence
from typing import Any, Final

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Event, append, as_one_act
from apps.configs.models import Overlay
from apps.configs.selectors.configurations import find_live
from apps.configs.services import overlays, publishing
from apps.configs.services.bases import Options
from apps.configs.services.kernel import Outcome, load_state, lock_composition
from apps.core import clock, jobs
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug
from apps.core.transactions import locked, writing
from apps.engine import overlays as laying
from apps.engine import values
from apps.engine.errors import ConflictError, InvalidError, invalid, taken
from apps.engine.values import Tree, canonical, parse_canonical
from apps.rollouts.definitions import WHILE_RUNNING, VariantInput, read_definition
from apps.rollouts.groups import place_of, take_slots, target_of
from apps.rollouts.models import Experiment
from apps.rollouts.variants import overlays_of, require_keys, tell_variants, write_variants

START: Final = "experiment.start"
STOP: Final = "experiment.stop"


def create_experiment(*, actor: Actor, place: Place, name: str, **members: Tree) -> Experiment:
    """Make a draft of an experiment over what is live at ``place``. Members: see ``definitions``.

    Needs ``publish`` there, and on every key that a variant sets. Raises :class:`InvalidError` with
    the place of what cannot be.
    """
    policy.require(actor, "publish", place)
    try:
        check_slug(name)
    except InvalidError as error:
        raise invalid("/name", "slug", error.detail) from error
    given = read_definition(members)
    if "variants" not in given:
        raise invalid("/variants", "required", "An experiment has variants, the control first.")
    with writing():
        lock_composition()
        state = load_state(place)
        if state.configuration is None or state.version is None or state.version.retired:
            raise invalid("", "nothing_live", "Nothing is live here to experiment with: publish.")
        mine = Experiment.objects.filter(configuration=state.configuration)
        if mine.filter(name__iexact=name).exists():
            raise taken("/name", "There is an experiment of this name here already.")
        row = Experiment(configuration=state.configuration, name=name, created_at=clock.now())
        _fill(actor, row, given, "experiment.created")
    return row


def update_experiment(*, actor: Actor, experiment: Experiment, **members: Tree) -> Experiment:
    """Change the given members: all of a draft, ``description`` and ``ends_at`` of a running one.

    What a variant holds in keys that the actor may not see stays as it is. Raises what
    :func:`create_experiment` raises, and :class:`ConflictError` for one that is over.
    """
    policy.require(actor, "publish", place_of(experiment))
    given = read_definition(members)
    with writing():
        lock_composition()
        row = locked(experiment)
        fixed = [name for name in given if name not in WHILE_RUNNING]
        if row.state == Experiment.STOPPED or (row.state == Experiment.RUNNING and fixed):
            raise ConflictError(
                f"It is {row.state}: what it measured would mean nothing any more. Make another.",
                code="not_a_draft",
            )
        _fill(actor, row, given, "experiment.updated")
    return row


def delete_experiment(*, actor: Actor, experiment: Experiment) -> None:
    """Delete a draft. Raises :class:`ConflictError` for one that has run: it is history."""
    policy.require(actor, "publish", place_of(experiment))
    with writing():
        lock_composition()
        row = locked(experiment)
        if row.state != Experiment.DRAFT:
            message = "It has run, and is kept with what it measured: stop it."
            raise ConflictError(message, code="not_a_draft")
        event = _event("experiment.deleted", row, {})
        require_keys(actor, row, overlays_of(row))
        mark_history(row, actor)
        _schedule(actor, row, None, None)
        row.delete()
        append([event], actor=actor)


def start_experiment(*, actor: Actor, experiment: Experiment, dry_run: bool = False) -> Experiment:
    """Lay its variants over what is live, from now on, once each is valid as a version would be.

    Raises :class:`InvalidError` with what is wrong with a variant, or when its group has too few
    units free; :class:`ConflictError` for one that is no draft. A dry run stores nothing.
    """
    place = place_of(experiment)
    policy.require(actor, "publish", place)
    with writing():
        lock_composition()
        row = locked(experiment)
        if row.state != Experiment.DRAFT:
            raise ConflictError(f"It is {row.state} already.", code="not_a_draft")
        if row.ends_at is not None and row.ends_at <= clock.now():
            raise invalid("/ends_at", "range", "It ends in the past: give it another end, or none.")
        laid = overlays_of(row)
        row.slots = canonical([list(span) for span in take_slots(row)])
        if dry_run:
            overlays.try_overlays(actor=actor, place=place, laid=laid)
            return row
        overlays.lay_overlays(actor=actor, place=place, laid=laid)
        row.state, row.started_at = Experiment.RUNNING, clock.now()
        _schedule(actor, row, None, row.ends_at)
        _end(actor, row, laid, "experiment.started")
    return row


def stop_experiment(*, actor: Actor, experiment: Experiment, winner: str = "") -> Experiment:
    """Serve everybody what is live, from now on. Needs ``publish``, whatever keys its variants set.

    Raises :class:`ConflictError` for one that does not run.
    """
    policy.require(actor, "publish", place_of(experiment))
    with writing():
        lock_composition()
        row = locked(experiment)
        if row.state != Experiment.RUNNING:
            raise ConflictError(f"It does not run: it is {row.state}.", code="not_running")
        laid = overlays_of(row)
        overlays.lift_overlays(place=place_of(row), laid=laid)
        row.state, row.stopped_at, row.winner = Experiment.STOPPED, clock.now(), winner
        _schedule(actor, row, None, None)
        _end(actor, row, laid, "experiment.stopped")
    return row


def publish_variant(
    *, actor: Actor, experiment: Experiment, variant: str, options: Options
) -> Outcome:
    """Publish what a variant lays, for everybody, and stop the experiment if it runs, in one act.

    Raises what a publish raises, :class:`ForbiddenError` for one of its keys that the actor may not
    publish, :class:`ConflictError` for a draft, and :class:`InvalidError` for a variant that there
    is not, or the control, which is live already.
    """
    place = place_of(experiment)
    policy.require(actor, "publish", place)
    options.check()
    found = experiment.variants.select_related("overlay__patch").filter(name__iexact=variant)
    chosen = found.first()
    if chosen is None or chosen.overlay is None:
        message = "Name a variant beside the control: that one is what is live."
        raise invalid("/variant", "variant", message)
    patch = overlays.patch_of(chosen.overlay)
    require_keys(actor, experiment, [chosen.overlay])
    overlays.refuse_redacted([chosen.overlay])

    def run() -> Outcome:
        live = find_live(actor=actor, place=place)
        secrets = live.secrets if live else ()
        _choose(actor, experiment, chosen.name)
        return publishing.patch(
            actor=actor,
            place=place,
            apply=lambda tree: laying.lay(tree, secrets, patch)[0],
            options=options,
        )

    with writing():
        lock_composition()
        return as_one_act(run, keep=lambda outcome: not outcome.dry_run)


# Parts of the acts


def _choose(actor: Actor, experiment: Experiment, winner: str) -> None:
    """Stop it with a winner; name the winner of one that is over."""
    row = locked(experiment)
    if row.state != Experiment.STOPPED:
        stop_experiment(actor=actor, experiment=experiment, winner=winner)
        return
    row.winner = winner
    mark_history(row, actor)
    row.save()
    told: dict[str, Tree] = {"members": ["winner"], "winner": winner}
    append([_event("experiment.updated", row, told)], actor=actor)


def _fill(actor: Actor, row: Experiment, given: dict[str, Any], action: str) -> None:
    """Take over what was given, save it, and say so."""
    variants: Sequence[VariantInput] | None = given.pop("variants", None)
    for name, value in given.items():
        setattr(row, name, value)
    running = row.state == Experiment.RUNNING
    if row.ends_at is not None:
        if row.starts_at is not None and row.ends_at <= row.starts_at and not running:
            raise invalid("/ends_at", "range", "It ends after it starts.")
        if row.ends_at <= clock.now():
            raise invalid("/ends_at", "range", "This is in the past.")
    mark_history(row, actor)
    row.save()
    if variants is not None:
        write_variants(actor, row, variants)
    if row.starts_at is not None and not running:  # who lets it start by itself must be able to
        overlays.try_overlays(actor=actor, place=place_of(row), laid=overlays_of(row))
    _schedule(actor, row, None if running else row.starts_at, row.ends_at if running else None)
    names = sorted([*given, *(["variants"] if variants is not None else [])])
    data: dict[str, Tree] = {"members": [*names]}
    if variants is not None:
        data["variants"] = tell_variants(row)
    append([_event(action, row, data)], actor=actor)


def _end(actor: Actor, row: Experiment, laid: Sequence[Overlay], action: str) -> None:
    """Save a new state and say so, to watchers of the configuration too."""
    mark_history(row, actor)
    row.save()
    told = overlays.news_of(place_of(row), laid)
    data: dict[str, Tree] = {"definition": _digest(row), "slots": parse_canonical(row.slots)}
    if row.winner:
        data["winner"] = row.winner
    append([_event(action, row, data), *([told] if told else [])], actor=actor)


def _event(action: str, row: Experiment, data: dict[str, Tree]) -> Event:
    return Event(action, target_of(row), {"id": row.pk.hex, **data})


def _digest(row: Experiment) -> str:
    """What the experiment is, by its checksum: the ledger holds no values."""
    variants = [
        [each.name, each.weight, each.overlay.patch_id if each.overlay else ""]
        for each in row.variants.select_related("overlay")
    ]
    parts: list[Tree] = [row.audience, row.holdout, row.share, row.exclusion, row.metrics]
    return values.checksum(canonical([*parts, row.alpha, row.tuned_for, variants]))


def _schedule(actor: Actor, row: Experiment, starts_at: Any, ends_at: Any) -> None:
    """Have it start and end by themselves; it starts as the one who says so here."""
    subject, by = f"{row.name} ({place_of(row)})", {"by": actor.name}
    for kind, due_at in ((START, starts_at), (STOP, ends_at)):
        if due_at is None:
            jobs.cancel(kind, row.pk.hex)
        else:
            jobs.put(kind, row.pk.hex, due_at=due_at, subject=subject, argument=by)


def end_by_schedule(actor: Actor, experiment: Experiment, act: str) -> None:
    """Start or stop it, when that is still to be done."""
    wanted = Experiment.DRAFT if act == START else Experiment.RUNNING
    if experiment.state != wanted:
        return
    if act == START:
        start_experiment(actor=actor, experiment=experiment)
    else:
        stop_experiment(actor=actor, experiment=experiment)

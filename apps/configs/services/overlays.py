"""Laying overlays over a configuration, so that every version is made with them too, and lifting
them. Who gets which is decided above.
"""

from collections.abc import Collection, Sequence

from apps.access.policy import Place
from apps.audit.services import Event
from apps.configs import validating
from apps.configs.models import OverlaidDocument, Overlay, Redaction
from apps.configs.naming_secrets import note_uses
from apps.configs.overlaying import Base, Overlaid, lay_all
from apps.configs.restricted import require_changes, require_laid, shown_problems
from apps.configs.services.in_view import also, broken_variants_in_view
from apps.configs.services.kernel import (
    State,
    digest,
    load_state,
    store_overlaid,
    store_texts,
)
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine import overlays, spots
from apps.engine.errors import InvalidConfigurationError, invalid
from apps.engine.paths import format_path
from apps.engine.values import Tree, canonical, parse_canonical
from apps.registry.models import Configuration

CAUSE = "experiment"


def write_overlay(
    *, configuration: Configuration, label: str, patch: Tree, before: Overlay | None = None
) -> Overlay:
    """Keep a patch as an overlay that is not laid: ``before``, where that one says the same.

    Raises :class:`InvalidError` for what cannot be laid, with its places in the patch.
    """
    overlays.check_patch(patch)
    text = canonical(patch)
    store_texts([text])
    row = before if before is not None and before.patch_id == digest(text) else Overlay()
    row.configuration, row.label, row.patch_id = configuration, label[:300], digest(text)
    row.save()
    return row


def try_overlays(*, actor: Actor, place: Place, laid: Sequence[Overlay]) -> list[Overlaid]:
    """What overlays make of what is live at ``place``, judged as a publish of it by the actor.

    The caller holds the composition lock. Raises :class:`ForbiddenError` for keys that the actor may
    not publish, whatever their values there, and :class:`InvalidError`.
    """
    state = _live(place)
    refuse_redacted(laid)
    for each in laid:
        require_laid(actor, "publish", place, patch_of(each), state.effective)
    base = Base(
        state.service,
        state.environment,
        state.effective,
        state.secrets,
        state.effective,
    )
    world = World()
    made, problems = lay_all(actor, laid, base, world)
    for one in made:
        require_changes(actor, "publish", place, state.effective, one.tree)
    if problems:
        seen = broken_variants_in_view(actor, state, laid, world)
        located = validating.locate(seen, state.service, state.environment, None)
        shown = also(shown_problems(actor, place, problems), located)
        raise InvalidConfigurationError(
            f"{len(shown) or 1} problem(s) must be solved before this can be laid.", shown
        )
    return made


def lay_overlays(*, actor: Actor, place: Place, laid: Sequence[Overlay]) -> None:
    """Lay overlays over what is live at ``place`` and over every version from now on.

    The caller holds the composition lock, and says so in the ledger. Raises what
    :func:`try_overlays` raises.
    """
    made = try_overlays(actor=actor, place=place, laid=laid)
    state = _live(place)
    assert state.version is not None  # noqa: S101 - it is live
    known = OverlaidDocument.objects.filter(version=state.version)
    there = set(known.values_list("overlay_id", flat=True))
    store_overlaid(state.version, [each for each in made if each.overlay.pk not in there])
    Overlay.objects.filter(pk__in=[each.pk for each in laid]).update(laid=True)
    _note_uses(state)


def lift_overlays(*, place: Place, laid: Collection[Overlay]) -> None:
    """Lay them no more. The caller holds the composition lock."""
    Overlay.objects.filter(pk__in=[each.pk for each in laid]).update(laid=False)
    _note_uses(load_state(place))


def news_of(place: Place, laid: Sequence[Overlay]) -> Event | None:
    """What watchers of the configuration hear when overlays come or go: the same version, and the
    keys that may be others now. ``None`` while nothing is live.
    """
    version = load_state(place).version
    if version is None or version.retired:
        return None
    changed = {
        format_path(path) for each in laid for path in overlays.changed_paths(patch_of(each))
    }
    data: dict[str, Tree] = {
        "service": place.service.slug if place.service else "",
        "environment": place.environment.slug if place.environment else "",
        "version": version.number,
        "checksum": version.checksum,
        "keys": sorted(changed),
        "cause": CAUSE,
    }
    return Event(f"configuration.{CAUSE}", f"configuration:{place}", data)


def patch_of(overlay: Overlay) -> Tree:
    """The patch, parsed."""
    return parse_canonical(overlay.patch.content)


def _live(place: Place) -> State:
    state = load_state(place)
    if state.version is None or state.version.retired:
        raise invalid("", "nothing_live", "Nothing is live here to lay a variant over: publish.")
    return state


def refuse_redacted(laid: Sequence[Overlay]) -> None:
    """Raise :class:`InvalidError` where a value of an overlay was taken out of the history."""
    digests = [each.patch_id for each in laid]
    if Redaction.objects.filter(text_id__in=digests).exists():
        raise invalid("", "redacted", "A value of a variant was redacted: write the variant anew.")


def _note_uses(state: State) -> None:
    """Which secrets the configuration names, with those of what is laid over it."""
    if state.version is None or state.configuration is None:
        return
    rows = OverlaidDocument.objects.filter(version=state.version, overlay__laid=True)
    stored = rows.values_list("secrets", flat=True)
    laid = [spot for each in stored for spot in spots.load(parse_canonical(each))]
    note_uses(state.configuration, [*state.secrets, *laid])

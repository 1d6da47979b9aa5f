"""The variants of an experiment: what they lay, and who may write and act with it."""

from collections.abc import Sequence

from apps.access.policy import Place
from apps.configs.models import Overlay
from apps.configs.restricted import keep_hidden, require_laid
from apps.configs.services import overlays
from apps.configs.services.kernel import load_state
from apps.core.actor import Actor
from apps.engine import overlays as laying
from apps.engine.errors import InvalidError, Problem, invalid
from apps.engine.values import Tree
from apps.rollouts.definitions import VariantInput
from apps.rollouts.groups import place_of
from apps.rollouts.models import Experiment, Variant


def require_keys(actor: Actor, row: Experiment, laid: Sequence[Overlay]) -> None:
    """Raise :class:`ForbiddenError` unless the actor may publish every key that they set."""
    place = place_of(row)
    live = load_state(place).effective
    for each in laid:
        require_laid(actor, "publish", place, overlays.patch_of(each), live)


def overlays_of(row: Experiment) -> list[Overlay]:
    """What its variants lay, in their order, with the patches."""
    variants = row.variants.select_related("overlay__patch")
    return [each.overlay for each in variants if each.overlay is not None]


def write_variants(actor: Actor, row: Experiment, variants: Sequence[VariantInput]) -> None:
    """Make the variants of a draft those that are given; one of the same name stays the same row.

    Raises :class:`ForbiddenError` where a patch would be lost of which the actor may not publish
    every key, with its variant or because that is the control now.
    """
    place = place_of(row)
    before = {each.name.lower(): each for each in row.variants.select_related("overlay__patch")}
    kept: set[int] = set()
    lost: list[Overlay] = []
    for position, given in enumerate(variants):
        known = before.pop(given.name.lower(), None)
        overlay = _write_patch(actor, row, place, position, given, known) if position else None
        if known is not None and known.overlay is not None and overlay is None:
            lost.append(known.overlay)
        variant = known or Variant(experiment=row)
        variant.position, variant.name, variant.weight = position, given.name, given.weight
        variant.overlay = overlay
        variant.save()
        kept.add(variant.pk)
    lost += [each.overlay for each in before.values() if each.overlay is not None]
    require_keys(actor, row, lost)
    row.variants.exclude(pk__in=kept).delete()


def tell_variants(row: Experiment) -> list[Tree]:
    """The variants as the ledger names them: what each lays by its overlay, which never changes."""
    return [
        {
            "name": each.name,
            "weight": each.weight,
            "overlay": each.overlay_id.hex if each.overlay_id else None,
        }
        for each in row.variants.all()
    ]


def _write_patch(
    actor: Actor,
    row: Experiment,
    place: Place,
    position: int,
    given: VariantInput,
    known: Variant | None,
) -> Overlay:
    """The overlay of a variant, with what its author may not see of it as it was."""
    at = f"/variants/{position}/patch"
    before = known.overlay if known else None
    label = f"variant '{given.name}' of the experiment '{row.name}'"
    try:
        laying.check_patch(given.patch)
        require_laid(actor, "publish", place, given.patch, load_state(place).effective)
        old = overlays.patch_of(before) if before else {}
        patch = keep_hidden(actor, place, given.patch, old, source=False)
        if not patch:
            raise invalid("", "type", "A variant beside the control says what is another in it.")
        return overlays.write_overlay(
            configuration=row.configuration, label=label, patch=patch, before=before
        )
    except InvalidError as error:
        raise InvalidError(error.detail, [_below(at, each) for each in error.problems]) from error


def _below(at: str, problem: Problem) -> Problem:
    return Problem(at + problem.pointer, problem.code, problem.message)

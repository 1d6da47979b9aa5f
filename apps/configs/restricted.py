"""Keys that need a right of their own, in what somebody writes and in what he is told of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from apps.access import policy
from apps.access.policy import Place
from apps.configs.sources import Source, pretty
from apps.core.actor import Actor
from apps.engine import diff, editing, formats, overlays
from apps.engine.errors import ForbiddenError, Problem
from apps.engine.guarding import Guard, graft, refused_keys, split, visible, visible_to_either
from apps.engine.merge import ABSENT
from apps.engine.paths import Path, find, format_path, from_pointer
from apps.engine.values import Tree, same


def keep_hidden(actor: Actor, place: Place, new: Tree, old: Tree, *, source: bool) -> Tree:
    """``new``, as its author wrote it, with what he may not see kept as it is in ``old``.

    A key that he may ``publish`` and not ``read`` he may write without having seen it. Raises
    :class:`ForbiddenError` for keys among what he wrote that he may do neither with.
    """
    reads = policy.guard(actor, "read", place)
    if reads.is_open:
        return new
    _seen, written = split(new, reads, source=source)
    if written is not ABSENT:
        refused = refused_keys(written, policy.guard(actor, "publish", place))
        if refused:
            raise _forbidden("publish", place, refused)
    _seen, hidden = split(old, reads, source=source)
    return graft(new, _without(hidden, written))


def keep_unseen(actor: Actor, verb: str, place: Place, new: Tree, old: Tree) -> Tree:
    """``new`` with the keys that the actor may neither know of nor ``verb`` as they are in ``old``: so
    no answer tells whether there are such, or whether they differ.
    """
    knows, does = policy.guard(actor, "list", place), policy.guard(actor, verb, place)
    if knows.is_open or does.is_open:
        return new
    unknown = split(old, knows)[1]
    kept = ABSENT if unknown is ABSENT else split(unknown, does)[1]
    return graft(visible_to_either(new, knows, does), kept)


def _without(hidden: Any, written: Any) -> Any:
    """What of ``hidden`` is not written anew."""
    if written is ABSENT or hidden is ABSENT:
        return hidden
    if not (isinstance(hidden, dict) and isinstance(written, dict)):
        return ABSENT
    left = {key: _without(part, written.get(key, ABSENT)) for key, part in hidden.items()}
    return {key: part for key, part in left.items() if part is not ABSENT} or ABSENT


def shown_extends(entries: Sequence[dict[str, Any]], reads: Guard) -> list[dict[str, Any]]:
    """Entries of ``extends``, or of a lock. Where keys are hidden the parameters are too, because a
    hidden key may come from one.
    """
    if reads.is_open:
        return list(entries)
    return [{name: value for name, value in each.items() if name != "with"} for each in entries]


def extends_with_hidden(
    actor: Actor, place: Place, source: Source, live: Sequence[dict[str, Any]]
) -> Source:
    """``source`` with the parameters that its author was not shown kept as the ``live`` ones are, in
    their order.

    Raises :class:`ForbiddenError` for parameters of a template that is live already, whatever they
    are: whether they are the hidden ones must not be told; and where it cannot be said which of two
    uses of a template is gone.
    """
    if source.extends is None or policy.guard(actor, "read", place).is_open:
        return source
    kept = _by_name(live)
    sent = _by_name(source.extends)
    for name, entries in sent.items():
        hidden = kept.get(name, [])
        fewer = len(entries) < len(hidden) and any(each != hidden[0] for each in hidden)
        if fewer or (hidden and any("with" in each for each in entries)):
            raise ForbiddenError(
                f"The parameters of '{entries[0]['template']}' are not shown to you here: leave "
                "'with' away to keep them, or ask somebody who may read every key.",
                right="read",
            )
    extends = [
        rest.pop(0) if (rest := kept.get(each["template"].lower())) else each
        for each in source.extends
    ]
    return replace(source, extends=extends)


def _by_name(entries: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in entries:
        found.setdefault(each["template"].lower(), []).append(each)
    return found


def source_with_hidden(
    actor: Actor, place: Place, source: Source, read_live: Callable[[], Source | None]
) -> Source:
    """``source`` with what its author may not see kept as the live source has it, which is read
    where he may not see all.

    The text is then the live one, edited as little as possible: its comments stay, where the
    author could not see them.
    """
    if policy.guard(actor, "read", place).is_open:
        return source
    live = read_live()
    old = live.tree if live else {}
    tree = keep_hidden(actor, place, source.tree, old, source=True)
    if tree is source.tree or same(tree, source.tree):
        return source
    lost = False
    if live is not None and live.format == source.format and same(tree, live.tree):
        content = live.content
    elif source.given_as_tree:
        content = pretty(tree)
    else:
        base = live if live is not None and live.format == source.format else source
        content, lost = editing.edit(base.content, source.format, tree)
    parsed = formats.Parsed(tree, source.parsed.positions)
    return Source(content, source.format, source.extends, parsed, source.given_as_tree, lost)


def require_changes(actor: Actor, verb: str, place: Place, before: Tree, after: Tree) -> None:
    """Raise :class:`ForbiddenError` unless the actor has ``verb`` on every key that changes.

    Names the keys that he may know of.
    """
    guard = policy.guard(actor, verb, place)
    if guard.is_open:
        return
    old, new = split(before, guard)[1], split(after, guard)[1]
    if (old is ABSENT and new is ABSENT) or (
        old is not ABSENT and new is not ABSENT and same(old, new)
    ):
        return
    changed = diff.changed_keys({} if old is ABSENT else old, {} if new is ABSENT else new)
    raise _forbidden(verb, place, policy.guard(actor, "list", place).allowed_keys(changed))


def require_laid(actor: Actor, verb: str, place: Place, patch: Tree, over: Tree) -> None:
    """Raise :class:`ForbiddenError` unless the actor has ``verb`` on every key that a patch sets or
    removes ``over`` a document, whatever its value there; and on whatever may be inside of one that
    holds more than a scalar, on either side.
    """
    guard = policy.guard(actor, verb, place)
    refused = []
    for path in overlays.changed_paths(patch):
        scalars = not any(isinstance(find(tree, path)[1], (dict, list)) for tree in (patch, over))
        if not (guard.allows(path) if scalars else guard.allows_whole(path)):
            refused.append(format_path(path))
    if refused:
        raise _forbidden(verb, place, policy.guard(actor, "list", place).allowed_keys(refused))


def _forbidden(verb: str, place: Place, keys: Sequence[str]) -> ForbiddenError:
    named = f": {', '.join(keys[:5])}" if keys else " that you may not see"
    return ForbiddenError(
        f"This would change keys of {place} that need the right '{verb}' of their own{named}.",
        right=verb,
        keys=list(keys),
    )


def shown_problems(
    actor: Actor, place: Place, problems: Sequence[Problem], whole: Tree = None
) -> list[Problem]:
    """Those at keys that the actor may see or write; the others are not of his making. What he sees
    of ``whole``, the document that they are of, he is told of, whatever could be hidden in it.
    """
    guards = [policy.guard(actor, verb, place) for verb in ("read", "publish")]
    if not problems or any(guard.is_open for guard in guards):
        return list(problems)
    view = visible(whole, guards[0]) if whole else {}
    return [each for each in problems if depends_on_visible(each, view, guards)]


def depends_on_visible(problem: Problem, view: Tree, guards: Sequence[Guard]) -> bool:
    """Whether a problem is at a key that one of the guards allows, and all that it depends on is
    allowed whole, or stands in ``view`` whole: a list, which is seen whole or not at all, or a scalar.
    """
    path = from_pointer(problem.pointer)
    beside = map(from_pointer, problem.beside)
    return (not path or any(guard.allows(path) for guard in guards)) and all(
        any(guard.allows_whole(each) for guard in guards) or _is_whole(view, each)
        for each in beside
    )


def _is_whole(view: Tree, path: Path) -> bool:
    """Whether ``path`` leads to or into what is no object in ``view``."""
    for step in path:
        if not isinstance(view, dict):
            return True
        if step not in view:
            return False
        view = view[step]
    return not isinstance(view, dict)

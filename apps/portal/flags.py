"""Flags as flags, on the configuration page: what the text says of them, changing it, and trying it.

The text stays the one thing that is edited: each change of a flag is a JSON Patch that comes back as
a changed text, which the page puts into its editor.
"""

from collections import Counter
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from apps.access.policy import Place
from apps.configs import sources
from apps.configs.services.drafting import change_draft, compose_draft
from apps.configs.sources import Source
from apps.core import clock
from apps.core.actor import Actor
from apps.engine import formats, patching
from apps.engine.errors import DomainError, invalid
from apps.engine.flags.conditions import Context
from apps.engine.flags.evaluation import MESSAGES, SPLIT, Evaluation, FlagSet
from apps.engine.merge import ABSENT
from apps.engine.section_types.flag_definitions import (
    SEGMENTS,
    find_default,
    find_variants,
    keep_known,
    kind_of,
    whole,
)
from apps.engine.section_types.section_type import find_number
from apps.engine.values import Tree, compact
from apps.portal import extending
from apps.portal.shared import actor_of, answers_json, place_of
from apps.rollouts.flags import Found, collect, find_staleness, list_sections_of

UNITS: Final = 1_000
FEWEST_UNITS: Final = 50
MAX_TRIED: Final = 100_000
"""Evaluations of one try: where there are many flags, fewer units try them."""
MAX_FLAGS: Final = 500
HIDDEN: Final[dict[str, Any]] = {
    "variant": "",
    "value": "",
    "reason": "UNKNOWN",
    "rule": None,
    "error": "A part of it is hidden from you: what it gives is not known here.",
    "counts": {},
    "units": 0,
}

Known = dict[tuple[str, str], Found]
"""The flags of which nothing that decides is hidden, by section and name."""


@require_POST
@answers_json
def page(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The flags of a text; with ``patch`` of a changed one; with ``context`` what it gets of each."""
    place = place_of(request, service, environment, "read")
    actor = actor_of(request)
    source = _read(request)
    answer: dict[str, Any] = {}
    if "patch" in request.POST:
        content = _changed(request, actor, place, source)
        source = sources.from_text(content, source.format, source.extends)
        answer["content"] = content
    assert place.service is not None  # noqa: S101 - a configuration's place has both
    sections = list_sections_of(place.service)
    seen, judged = compose_draft(actor=actor, place=place, source=source)
    keys = collect(seen, sections)
    known = collect(
        {each: keep_known(judged.get(each), seen.get(each)) for each in sections}, sections
    )
    whole_ones = {(each.section, each.name): each for each in known.values()}
    answer["sections"] = [
        _section(name, seen.get(name), keys, source.tree, whole_ones) for name in sections
    ]
    if request.POST.get("context") is not None:
        shown = {flag["key"] for each in answer["sections"] for flag in each["flags"]}
        found = {
            key: whole_ones.get((each.section, each.name))
            for key, each in keys.items()
            if key in shown
        }
        answer["tried"] = _try(found, request.POST["context"])
    return JsonResponse(answer)


def _read(request: HttpRequest) -> Source:
    content = request.POST.get("content", "").replace("\r\n", "\n")
    extends = extending.read(request.POST.getlist("extends"))
    return sources.from_text(content, request.POST.get("format", "yaml"), extends)


def _changed(request: HttpRequest, actor: Actor, place: Place, source: Source) -> str:
    section, name = request.POST.get("section", ""), request.POST.get("flag", "")
    assert place.service is not None  # noqa: S101 - as above
    if section not in list_sections_of(place.service) or not name or name == SEGMENTS:
        raise invalid("", "flag", "A flag has a name, in a section of flags.")
    operations = formats.parse(request.POST["patch"], "json").tree

    def change(flag: Tree) -> Tree:
        if operations is None:
            return ABSENT
        return patching.json_patch({} if flag is ABSENT else whole(flag), operations)

    return change_draft(actor=actor, place=place, source=source, key=(section, name), change=change)


def _section(
    name: str, section: Tree, keys: dict[str, Found], own: Tree, known: Known
) -> dict[str, Any]:
    written = own.get(name)
    flags = section if isinstance(section, dict) else {}
    segments = flags.get(SEGMENTS)
    found = [
        _flag(key, each, flags[each.name], written, known.get((name, each.name)))
        for key, each in keys.items()
        if each.section == name
    ]
    return {
        "key": name,
        "flags": found[:MAX_FLAGS],
        "more": max(len(found) - MAX_FLAGS, 0),
        "segments": sorted(segments) if isinstance(segments, dict) else [],
    }


def _flag(
    key: str, found: Found, given: Tree, written: Tree, known: Found | None
) -> dict[str, Any]:
    """A flag for the page's script: values as JSON text, which keeps their digits."""
    flag = whole(given)
    variants = find_variants(flag) or {}
    return {
        "key": key,
        "name": found.name,
        "own": isinstance(written, dict) and found.name in written,
        "enabled": flag.get("enabled") is True,
        "broken": found.definition is None,
        "description": _text(flag.get("description")),
        "type": _text(flag.get("type")),
        "kind": next(filter(None, map(kind_of, variants.values())), ""),
        "pair": "variants" not in flag,
        "names": isinstance(flag.get("variants"), list),
        "variants": [{"name": name, "text": compact(value)} for name, value in variants.items()],
        "default": find_default(flag) or "",
        "off": _text(flag.get("off", "off" if "variants" not in flag else "")),
        "rules": [_rule(each) for each in _list(flag.get("rules"))],
        "share": find_number(flag.get("share")),
        "countries": [each for each in _list(flag.get("countries")) if isinstance(each, str)],
        "needs": [compact(each) for each in _list(flag.get("prerequisites"))],
        "expires": _text(flag.get("expires")),
        "stale": find_staleness(known, clock.now()) if known else "",
        "seed": _text(flag.get("seed")),
    }


def _rule(rule: Tree) -> dict[str, Any]:
    given = rule if isinstance(rule, dict) else {}
    shares = given.get("shares")
    return {
        "when": compact(given["when"]) if "when" in given else "",
        "variant": _text(given.get("variant")),
        "shares": {name: find_number(each) or 0 for name, each in shares.items()}
        if isinstance(shares, dict)
        else None,
        "description": _text(given.get("description")),
    }


def _list(value: Tree) -> list[Tree]:
    return value if isinstance(value, list) else []


def _text(value: Tree) -> str:
    return value if isinstance(value, str) else ""


def _try(keys: dict[str, Found | None], text: str) -> dict[str, Any]:
    """What a context gets of each flag, and of split ones how many of ``UNITS`` units get what, or of
    fewer where there are many flags.
    """
    try:
        attributes = formats.parse(text or "{}", "json").tree
    except DomainError as error:
        raise invalid("/context", "context", f"The context is no JSON: {error.detail}") from error
    if not isinstance(attributes, dict):
        raise invalid("/context", "context", "A context is an object of attributes.")
    now = clock.now()
    asked = Context(attributes, now)
    units = max(FEWEST_UNITS, min(UNITS, MAX_TRIED // max(1, len(keys))))
    crowd = [Context({**attributes, "targetingKey": f"unit-{n}"}, now) for n in range(units)]
    tried = {}
    for key, found in keys.items():
        if found is None:
            tried[key] = HIDDEN
            continue
        evaluation = found.flags.evaluate(found.name, asked)
        counts: Counter[str] = Counter()
        if any(found.flags.evaluate(found.name, each).reason == SPLIT for each in crowd[:20]):
            counts.update(found.flags.evaluate(found.name, each).variant for each in crowd)
        tried[key] = {**_outcome(found.flags, evaluation), "counts": counts, "units": units}
    return tried


def _outcome(flags: FlagSet, evaluation: Evaluation) -> dict[str, Any]:
    definition = flags.definitions.get(evaluation.flag)
    has_text = evaluation.has_value and definition is not None
    return {
        "variant": evaluation.variant,
        "value": definition.texts[evaluation.variant] if has_text and definition else "",
        "reason": evaluation.reason,
        "rule": evaluation.rule,
        "error": MESSAGES.get(evaluation.error, ""),
    }

"""What was typed into the form of an experiment, read as the service takes it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from django.http import QueryDict

from apps.core.names import check_slug
from apps.engine import formats
from apps.engine.errors import DomainError, InvalidError, Problem
from apps.engine.values import Tree
from apps.rollouts.definitions import read_definition

FIELDS: Final = (
    "name",
    "description",
    "audience",
    "holdout",
    "share",
    "exclusion",
    "alpha",
    "tuned_for",
    "starts_at",
    "ends_at",
)
ROWS: Final = {"variants": ("name", "weight", "patch"), "metrics": ("name", "kind", "goal")}
_MINUTE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def read_form(sent: QueryDict) -> dict[str, Any]:
    """What was typed, as it was typed; fields that the form did not have are left out."""
    given: dict[str, Any] = {
        name: str(sent[name]).replace("\r\n", "\n") for name in FIELDS if name in sent
    }
    for name, members in ROWS.items():
        columns = [
            [each.replace("\r\n", "\n") for each in sent.getlist(f"{name}_{member}")]
            for member in members
        ]
        if columns[0]:
            given[name] = [
                dict(zip(members, row, strict=True)) for row in zip(*columns, strict=False)
            ]
    if "variants" in given:
        metrics = given.get("metrics", [])
        given["metrics"] = [each for each in metrics if each["name"].strip()]
    return given


def read_members(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Tree]:
    """The members to send, of those that are others than ``before``: a variant of which the person
    sees nothing is not to be written by him.

    Raises :class:`InvalidError` with all that cannot be.
    """
    problems = _name_problems(given["name"])
    members: dict[str, Tree] = {
        name: _read(name, str(given[name]), problems)
        for name in FIELDS[1:]
        if given[name] != before.get(name)
    }
    variants = [_bare(each) for each in given["variants"]]
    if variants != [_bare(each) for each in before.get("variants", [])]:
        members["variants"] = [
            _variant(index, each, problems) for index, each in enumerate(variants)
        ]
    if given["metrics"] != before.get("metrics"):
        members["metrics"] = given["metrics"]
    _check(members, problems)
    if problems:
        raise InvalidError("Some of it cannot be.", problems)
    return members


def _check(members: dict[str, Tree], problems: list[Problem]) -> None:
    """What the service would refuse of each member by itself: all of it at once."""
    for name, value in members.items():
        try:
            read_definition({name: value})
        except InvalidError as error:
            told = {each.pointer for each in problems}
            problems += [each for each in error.problems if each.pointer not in told]


def _name_problems(name: str) -> list[Problem]:
    try:
        check_slug(name)
    except InvalidError as error:
        return [Problem("/name", error.code, error.detail)]
    return []


def _bare(variant: Mapping[str, Any]) -> dict[str, str]:
    return {name: variant[name].strip() for name in ROWS["variants"]}


def _read(name: str, text: str, problems: list[Problem]) -> Tree:
    text = text.strip() if name != "description" else text
    if name == "audience":
        return _parsed(text or "{}", "json", "/audience", problems)
    if name in ("starts_at", "ends_at"):
        return f"{text}:00Z" if _MINUTE.fullmatch(text) else text
    return _number(text) if name in ("holdout", "share", "alpha", "tuned_for") else text


def _number(text: str) -> Tree:
    """A number, or the text itself, which is then refused as one."""
    try:
        return float(text)
    except ValueError:
        return text


def _variant(index: int, given: Mapping[str, str], problems: list[Problem]) -> Tree:
    text, patch = given["patch"], None
    if index:
        patch = _parsed(text or "{}", patch_format(text), f"/variants/{index}/patch", problems)
    return {"name": given["name"], "weight": _number(given["weight"]), "patch": patch}


def _parsed(text: str, kind: str, at: str, problems: list[Problem]) -> Tree:
    try:
        return formats.parse(text, kind).tree
    except DomainError as error:
        line = error.problems[0].line if error.problems else None
        problems.append(
            Problem(at, error.code, f"{f'Line {line}: ' if line else ''}{error.detail}")
        )
        return {}


def patch_format(text: str) -> str:
    """What a patch is written in: YAML, unless it begins as JSON does."""
    return "json" if text.startswith("{") else "yaml"

"""Merge keys as the engine takes them, made of where they are to be."""

from typing import Any

from apps.engine.merge_keys import MergeKeys
from apps.engine.paths import parse_path


def keyed(members: dict[str, str]) -> MergeKeys:
    """The merge keys of schemas that name, by the dotted path of a list, a member of its items."""
    whole: dict[str, Any] = {}
    for place, member in members.items():
        schema = whole
        for step in parse_path(place):
            if isinstance(step, int):
                schema = schema.setdefault("items", {})
            else:
                schema = schema.setdefault("properties", {}).setdefault(step, {})
        schema["x-merge-key"] = member
    return MergeKeys(whole.get("properties", {}))

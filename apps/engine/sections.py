"""The six section types by name, and what a section's own schema says of merging."""

from typing import Final

from apps.engine.paths import Glob, format_path
from apps.engine.section_types import (
    application_settings,
    environment_variables,
    feature_flags,
    resource_limits,
    security_settings,
    service_discovery,
)
from apps.engine.section_types.section_type import SectionType
from apps.engine.values import Tree

SECTION_TYPES: Final[dict[str, SectionType]] = {
    each.TYPE.name: each.TYPE
    for each in (
        application_settings,
        environment_variables,
        service_discovery,
        security_settings,
        feature_flags,
        resource_limits,
    )
}


def specific_keys(schema: Tree, key: str) -> list[Glob]:
    """What of section ``key`` belongs to its environment alone: where its schema says
    ``"x-environment-specific": true``.
    """
    found: list[str] = []
    _collect_specific(schema, format_path((key,)), found)
    return [Glob(each) for each in found]


def _collect_specific(schema: Tree, path: str, found: list[str]) -> None:
    if not isinstance(schema, dict):
        return
    if schema.get("x-environment-specific") is True:
        found.append(path)
        return
    properties = schema.get("properties")
    for name, child in properties.items() if isinstance(properties, dict) else ():
        quoted = format_path(("x", name)).removeprefix("x")
        _collect_specific(child, f"{path}{quoted}", found)
    _collect_specific(schema.get("additionalProperties"), f"{path}.*", found)


def merge_keys(schema: Tree, key: str) -> dict[str, str]:
    """The lists under section ``key`` whose schema names an ``x-merge-key``, by path."""
    found: dict[str, str] = {}
    _collect(schema, (key,), found)
    return found


def _collect(schema: Tree, path: tuple[str, ...], found: dict[str, str]) -> None:
    if not isinstance(schema, dict):
        return
    member = schema.get("x-merge-key")
    if isinstance(member, str):
        found[format_path(path)] = member
    properties = schema.get("properties")
    for name, child in properties.items() if isinstance(properties, dict) else ():
        _collect(child, (*path, name), found)

"""The six section types by name, and what a section's own schema says of merging."""

from typing import Final

from apps.engine.paths import format_path
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

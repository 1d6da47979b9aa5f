"""The six section types: a title, what belongs in them, and the shape that all of them share."""

from dataclasses import dataclass
from typing import Any, Final

from apps.engine.paths import Glob, format_path
from apps.engine.values import Tree


@dataclass(frozen=True, slots=True)
class SectionType:
    """A declared type of a top-level key. ``schema`` holds beside the service's own."""

    name: str
    label: str
    description: str
    schema: dict[str, Any]


_SCALAR: Final = {"type": ["string", "number", "boolean"]}
_NAME: Final = "^[A-Za-z_][A-Za-z0-9_]*$"

SECTION_TYPES: Final[dict[str, SectionType]] = {
    each.name: each
    for each in (
        SectionType(
            "application_settings",
            "Application settings",
            "Whatever the application reads: free in shape, as its own schema says.",
            {},
        ),
        SectionType(
            "environment_variables",
            "Environment variables",
            "Names and scalar values, as a process gets them; the .env format shows these.",
            {
                "type": "object",
                "propertyNames": {"pattern": _NAME},
                "additionalProperties": _SCALAR,
            },
        ),
        SectionType(
            "service_discovery",
            "Service discovery",
            "Where other services are reached: endpoints, weights, balancing policy.",
            {"type": "object"},
        ),
        SectionType(
            "security_settings",
            "Security settings",
            "Authentication, authorization, TLS, CORS and keys.",
            {"type": "object"},
        ),
        SectionType(
            "feature_flags",
            "Feature flags",
            "Flags by name: whether they are on, their variants, rules and shares.",
            {"type": "object", "additionalProperties": {"type": ["object", "boolean"]}},
        ),
        SectionType(
            "resource_limits",
            "Resource limits",
            "CPU, memory and time: what is requested and what is at most allowed.",
            {"type": "object"},
        ),
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

"""What is set of an environment, a service, a section and a rule, as the contract writes it."""

from typing import Any

from apps.configs.models import Rule, Section
from apps.engine.values import Tree, parse_canonical
from apps.registry.models import Environment, Service


def environment(row: Environment) -> dict[str, Tree]:
    """An environment's members."""
    return {
        "slug": row.slug,
        "name": row.name,
        "rank": row.rank,
        "parent": row.parent.slug if row.parent else None,
        "default": row.is_default,
        "protected": row.is_protected,
    }


def service(row: Service) -> dict[str, Tree]:
    """A service's members beside its slug."""
    return {
        "name": row.name,
        "description": row.description,
        "owner": row.owner.name if row.owner else None,
        "labels": row.labels,
    }


def section(row: Section) -> dict[str, Tree]:
    """A section's members beside its key."""
    return {
        "type": row.type,
        "schema": parse_canonical(row.schema),
        "description": row.description,
    }


def rule(row: Rule) -> dict[str, Any]:
    """A rule, with an expression or with a key and its value."""
    condition: dict[str, Tree] = {"expression": row.expression}
    if row.key:
        condition = {"key": row.key, "equals": parse_canonical(row.equals)}
    return {
        "name": row.name,
        "service": row.service.slug if row.service else None,
        "environment": row.environment.slug if row.environment else None,
        "severity": row.severity,
        **condition,
        "message": row.message,
        "description": row.description,
        "tests": parse_canonical(row.tests),
    }

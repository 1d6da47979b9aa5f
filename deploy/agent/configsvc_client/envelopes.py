"""What the server says of one configuration: its members, and what it is about."""

from collections.abc import Mapping
from typing import Any


def is_envelope(value: Any) -> bool:
    """Whether ``value`` has the members that the client reads."""
    if not isinstance(value, dict) or "config" not in value:
        return False
    names = [value.get("service"), value.get("environment")]
    numbers = [value.get("version"), value.get("revision")]
    return all(isinstance(each, str) for each in names) and all(type(n) is int for n in numbers)


def is_about(envelope: Mapping[str, Any], service: str, environment: str | None) -> bool:
    """Whether it is of that service and environment (``None``: of any). Names have no case."""
    wanted = ((service, "service"), (environment, "environment"))
    return all(name is None or name.lower() == envelope[member].lower() for name, member in wanted)

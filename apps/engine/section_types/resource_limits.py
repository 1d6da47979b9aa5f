"""Resource limits: quantities of CPU, memory, storage and time; requested, and at most allowed.

    cpu: {request: 250m, limit: "2"}
    memory: {request: 256Mi, limit: 2Gi}
    storage: 10Gi
    replicas: {min: 2, max: 10}
    startup_timeout: 90s
    requests_per_second: 400

or as Kubernetes has it, ``requests: {cpu: 250m}`` beside ``limits: {cpu: "2"}``. ``request``, ``limit``
and the resources of ``RESOURCES`` are quantities (see ``quantities``), compared as the numbers they
are. Names that end as those in ``spans`` are spans of time. Of every pair, ``min``/``max`` (alone,
or before or after a name) and ``request``/``limit``, the first is at most the second. Anything else is free.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from apps.engine.paths import Path, find, format_path
from apps.engine.quantities import NANO, Quantity, find_quantity
from apps.engine.section_types.section_type import UNKNOWN, Findings, SectionType
from apps.engine.section_types.spans import SPAN, check_span, find_span, is_span
from apps.engine.values import Tree

WHOLE: Final = ("memory", "storage", "ephemeral_storage", "ephemeral-storage", "disk", "swap")
"""Counted in bytes."""
RESOURCES: Final = ("cpu", *WHOLE)
MILLI: Final = NANO // 1000
UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
STEP: Final = 1024
MEBI: Final = 1024**2 * NANO
_BOUNDS: Final = (("request", "limit"), ("min", "max"), ("minimum", "maximum"))
_LOW: Final = dict(_BOUNDS)
_AMOUNTS: Final = frozenset(name for pair in _BOUNDS for name in pair)
_GROUPS: Final = ("requests", "limits")


class Limit(NamedTuple):
    """A resource as it is shown: canonical quantities, both as numbers that people read (``plain``),
    and the request's percentage of the limit.
    """

    name: str
    request: str
    limit: str
    plain: str
    part: float | None


def list_limits(section: Tree) -> list[Limit]:
    """The resources of a section that have a request or a limit, by name."""
    found: dict[str, dict[str, Quantity]] = {}
    for path, value in _amounts(section):
        name, bound = _named(path)
        quantity = find_quantity(value)
        if quantity is not None and bound:
            found.setdefault(name, {})[bound] = quantity
    return [_limit(name, bounds) for name, bounds in sorted(found.items())]


def _amounts(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, Tree]]:
    for name, child in tree.items() if isinstance(tree, dict) else ():
        if isinstance(child, dict):
            yield from _amounts(child, (*path, name))
        else:
            yield (*path, name), child


def _named(path: Path) -> tuple[str, str]:
    """A resource's name and whether the place is its request or limit; "" for neither."""
    *before, last = path
    if last in ("request", "limit") and before:
        return format_path(tuple(before)), str(last)
    for group, bound in zip(_GROUPS, ("request", "limit"), strict=True):
        if group in before:
            return format_path(tuple(step for step in path if step != group)), bound
    return format_path(path), "limit" if last in RESOURCES else ""


def _limit(name: str, bounds: dict[str, Quantity]) -> Limit:
    request, limit = bounds.get("request"), bounds.get("limit")
    part = request.nanos * 100 / limit.nanos if request and limit and limit.nanos > 0 else None
    is_bytes = name.rpartition(".")[2] in WHOLE
    amounts = [each for each in (request, limit) if each]
    plain = " / ".join(_bytes(each) if is_bytes else each.plain for each in amounts)
    return Limit(name, str(request or ""), str(limit or ""), plain, part)


def _bytes(quantity: Quantity) -> str:
    """Bytes for people, in the largest unit (IEC 80000-13) of which there is one: ``1.5 GiB``."""
    size, unit = quantity.nanos / NANO, 0
    while abs(size) >= STEP and unit < len(UNITS) - 1:
        size, unit = size / STEP, unit + 1
    return f"{round(size, 1):g} {UNITS[unit]}"


def _examine(section: dict[str, Tree], findings: Findings) -> None:
    _examine_object((), section, "", findings)


def _examine_object(path: Path, tree: dict[str, Tree], about: str, findings: Findings) -> None:
    """Walk an object; ``about`` is the resource that its bounds are of, "" for none."""
    for name, value in tree.items():
        place = (*path, name)
        if isinstance(value, dict):
            _examine_object(place, value, "" if name in _GROUPS else name, findings)
            continue
        resource = _resource(name, about)
        if resource is not None:
            _check_amount(place, resource, value, findings)
    for low, high, resource in _pairs(tree, about):
        if _is_more(resource, _at(tree, low), _at(tree, high)):
            names = [format_path((*path, *each)) for each in (low, high)]
            message = f"'{names[0]}' is more than '{names[1]}'."
            findings.error((*path, *low), "order", message, (*path, *high))


def _resource(name: str, about: str) -> str | None:
    """The resource that a member is an amount of; ``None`` when it is none."""
    if name in RESOURCES or is_span(name):
        return name
    if name in _AMOUNTS:
        return about
    start, _, end = name.partition("_")
    before, _, last = name.rpartition("_")
    flat = {end} if start in _AMOUNTS else {before} if last in _AMOUNTS else set()
    return next((each for each in flat if each in RESOURCES or is_span(each)), None)


def _check_amount(path: Path, resource: str, value: Tree, findings: Findings) -> None:
    if is_span(resource):
        check_span(path, value, findings)
        return
    quantity = find_quantity(value)
    if quantity is None:
        _refuse(path, resource, value, findings)
    elif quantity.nanos < 0:
        findings.error(path, "quantity", "A quantity is not negative here.")
    elif resource == "cpu" and quantity.nanos % MILLI:
        findings.error(path, "precision", "CPU is not divided finer than 1m.")
    elif resource in WHOLE:
        _check_bytes(path, quantity, findings)


def _refuse(path: Path, resource: str, value: Tree, findings: Findings) -> None:
    if isinstance(value, (dict, list)) or value is UNKNOWN:
        return
    if resource in RESOURCES or not (isinstance(value, str) and find_span("", value)):
        message = "This is no quantity: write it as 250m, 2, 512Mi or 1.5Gi."
        findings.error(path, "quantity", message)


def _check_bytes(path: Path, quantity: Quantity, findings: Findings) -> None:
    if quantity.nanos % NANO:
        findings.error(path, "precision", "Bytes are whole: m means thousandths, M or Mi millions.")
    elif 0 < quantity.nanos < MEBI:
        findings.warn(path, "small", "This is less than 1Mi: is the suffix missing?")


def _pairs(tree: dict[str, Tree], about: str) -> Iterator[tuple[Path, Path, str]]:
    """Where two amounts stand of which the first is at most the second, and of what they are."""
    for name in tree:
        start, _, end = name.partition("_")
        before, _, last = name.rpartition("_")
        wanted = {_LOW[name]: about} if name in _LOW else {}
        if start in _LOW and end:
            wanted[f"{_LOW[start]}_{end}"] = end
        if last in _LOW and before:
            wanted[f"{before}_{_LOW[last]}"] = before
        yield from ((((name,), (high,), of)) for high, of in wanted.items() if high in tree)
    requests, limits = (tree.get(group) for group in _GROUPS)
    if isinstance(requests, dict) and isinstance(limits, dict):
        for name in requests:
            if name in limits:
                yield ("requests", name), ("limits", name), name


def _at(tree: Tree, path: Path) -> Tree:
    return find(tree, path)[1]


def _is_more(resource: str, low: Tree, high: Tree) -> bool:
    """Whether an amount is more than another; not, where they cannot be compared."""
    left, right = find_quantity(low), find_quantity(high)
    if left is not None and right is not None and not is_span(resource):
        return left > right
    first, second = find_span(resource, low), find_span(resource, high)
    return first is not None and second is not None and first.is_more_than(second)


_QUANTITY: Final[dict[str, Any]] = {"type": ["string", "number"]}
_COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}


def _bounded(description: str, *examples: str) -> dict[str, Any]:
    """The schema of a resource: its limit alone, or both bounds."""
    amount = {**_QUANTITY, "examples": list(examples)}
    return {
        "type": ["object", "string", "number"],
        "description": description,
        "properties": {
            "request": {**amount, "description": "What is set aside for it"},
            "limit": {**amount, "description": "What it may use at most"},
        },
    }


TYPE: Final = SectionType(
    name="resource_limits",
    label="Resource limits",
    description="CPU, memory, storage and time: what is requested and what is at most allowed.",
    schema={
        "type": "object",
        "properties": {
            "cpu": _bounded("In cores; 1m is a thousandth", "250m", "2"),
            "memory": _bounded("In bytes; Mi and Gi are powers of 1024", "512Mi", "2Gi"),
            "storage": _bounded("In bytes", "10Gi"),
            "ephemeral_storage": _bounded("In bytes", "1Gi"),
            "replicas": {
                "type": ["integer", "object"],
                "minimum": 0,
                "description": "How many instances",
                "properties": {"min": _COUNT, "max": _COUNT},
            },
            "min_replicas": _COUNT,
            "max_replicas": _COUNT,
            "timeout": {**SPAN, "description": "How long one piece of work may take"},
        },
    },
    example={
        "cpu": {"request": "250m", "limit": "2"},
        "memory": {"request": "256Mi", "limit": "1Gi"},
        "replicas": {"min": 2, "max": 10},
        "timeout": "30s",
    },
    examine=_examine,
)

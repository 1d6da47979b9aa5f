"""How types and fields are declared: what they say of themselves is their docstring."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, dataclass_transform

import strawberry

from apps.api.graphql.paging import Paged

Kind = TypeVar("Kind")
Resolver = TypeVar("Resolver", bound=Callable[..., Any])

HEAVY: Final = 100
"""What a field counts that reads a document, or that needs statements of its own."""

AT_COST: Final = {"at": HEAVY}
"""The same of a field of the past."""


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def node(cls: type[Kind]) -> type[Kind]:
    """A type of the graph."""
    made: type[Kind] = strawberry.type(cls, description=described(cls))
    return made


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def given(cls: type[Kind]) -> type[Kind]:
    """A type of what is sent."""
    made: type[Kind] = strawberry.input(cls, description=described(cls))
    return made


def field(
    *,
    name: str | None = None,
    paged: bool = False,
    cost: int = 1,
    cost_with: Mapping[str, int] = {},
) -> Callable[[Resolver], Resolver]:
    """A field with a resolver. ``cost`` is what it counts (``apps.api.graphql.limits``),
    ``cost_with`` what it counts where one of these arguments is given.
    """

    def declare(resolver: Resolver) -> Resolver:
        made: Any = strawberry.field(
            resolver,
            name=name,
            description=described(resolver),
            metadata={"cost": cost, "cost_with": cost_with},
            extensions=[Paged()] if paged else [],
        )
        return made  # type: ignore[no-any-return] # for type checkers it stays a method

    return declare


def described(thing: object) -> str:
    """The docstring as people read it who do not know Python."""
    text = inspect.getdoc(thing) or ""
    return " ".join(text.replace("``None``", "null").replace("``", "`").split())

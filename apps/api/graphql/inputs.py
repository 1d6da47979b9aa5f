"""What several mutations are given."""

from typing import Annotated, TypeVar

import strawberry

from apps.api.graphql.acts import absent
from apps.api.graphql.fields import given
from apps.api.graphql.scalars import Json, Long

Kind = TypeVar("Kind")
Given = Annotated[Kind, strawberry.argument(name="input")]
Id = Annotated[Long, strawberry.argument(name="id")]


@given
class Extend:
    """A template, and what it is given."""

    template: str
    with_: Json | None = absent("An object: the template's parameters.", name="with")

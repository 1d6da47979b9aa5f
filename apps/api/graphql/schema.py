"""The schema, put together from its nouns."""

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from apps.api.graphql import (
    accounts,
    configurations,
    environments,
    grants,
    ledger,
    matrix,
    roles,
    rules,
    secrets,
    services,
    templates,
)
from apps.api.graphql.limits import Limits
from apps.api.graphql.problems import Problems
from apps.api.graphql.scalars import SCALARS

NOUNS = (
    services,
    environments,
    configurations,
    templates,
    secrets,
    grants,
    rules,
    roles,
    accounts,
    ledger,
    matrix,
)


class Schema(strawberry.Schema):
    """Strawberry's, without its own logging: what nobody raised on purpose is logged where it is told."""

    def process_errors(self, errors: object, execution_context: object = None) -> None:
        """Nothing."""


schema = Schema(
    query=merge_types("Query", tuple(each.Queries for each in NOUNS)),
    config=StrawberryConfig(scalar_map=SCALARS),
    extensions=[Problems, Limits],
)

"""The schema, put together from its nouns."""

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from apps.api.graphql import (
    accounts,
    backups,
    checking,
    configurations,
    environments,
    experiments,
    grants,
    ledger,
    matrix,
    roles,
    rules,
    secrets,
    services,
    subscriptions,
    templates,
)
from apps.api.graphql.limits import Limits
from apps.api.graphql.mutations import accounts as to_accounts
from apps.api.graphql.mutations import backups as to_backups
from apps.api.graphql.mutations import configurations as to_configurations
from apps.api.graphql.mutations import exchange, places, rights
from apps.api.graphql.mutations import experiments as to_experiments
from apps.api.graphql.mutations import rules as to_rules
from apps.api.graphql.mutations import secrets as to_secrets
from apps.api.graphql.mutations import templates as to_templates
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
    experiments,
    backups,
    checking,
)
ACTS = (
    to_configurations,
    places,
    to_templates,
    to_secrets,
    to_accounts,
    rights,
    to_rules,
    to_experiments,
    to_backups,
    exchange,
)


class Schema(strawberry.Schema):
    """Strawberry's, without its own logging: what nobody raised on purpose is logged where it is told."""

    def process_errors(self, errors: object, execution_context: object = None) -> None:
        """Nothing."""


schema = Schema(
    query=merge_types("Query", tuple(each.Queries for each in NOUNS)),
    mutation=merge_types("Mutation", tuple(each.Mutations for each in ACTS)),
    subscription=subscriptions.Subscriptions,
    config=StrawberryConfig(scalar_map=SCALARS),
    extensions=[Problems, Limits],
)

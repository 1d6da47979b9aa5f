"""The types that others lead to. A graph's modules need each other: they take these names for
annotations, and import each other as modules.
"""

from typing import TYPE_CHECKING, Annotated

import strawberry

if TYPE_CHECKING:
    from apps.api.graphql.configurations import Configuration
    from apps.api.graphql.environments import Environment
    from apps.api.graphql.grants import KeyRule
    from apps.api.graphql.secrets import Secret
    from apps.api.graphql.services import Service
    from apps.api.graphql.templates import Template
    from apps.api.graphql.versions import Version

ConfigurationRef = Annotated["Configuration", strawberry.lazy("apps.api.graphql.configurations")]
EnvironmentRef = Annotated["Environment", strawberry.lazy("apps.api.graphql.environments")]
KeyRuleRef = Annotated["KeyRule", strawberry.lazy("apps.api.graphql.grants")]
SecretRef = Annotated["Secret", strawberry.lazy("apps.api.graphql.secrets")]
ServiceRef = Annotated["Service", strawberry.lazy("apps.api.graphql.services")]
TemplateRef = Annotated["Template", strawberry.lazy("apps.api.graphql.templates")]
VersionRef = Annotated["Version", strawberry.lazy("apps.api.graphql.versions")]

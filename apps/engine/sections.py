"""The six section types by name."""

from typing import Final

from apps.engine.section_types import (
    application_settings,
    environment_variables,
    feature_flags,
    resource_limits,
    security_settings,
    service_discovery,
)
from apps.engine.section_types.section_type import SectionType

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

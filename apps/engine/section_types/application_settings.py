"""Application settings: free in shape, as the section's own schema says."""

from typing import Final

from apps.engine.section_types.section_type import Findings, SectionType
from apps.engine.values import Tree


def _examine(_section: dict[str, Tree], _findings: Findings) -> None:
    """Nothing: what an application reads is its own."""


TYPE: Final = SectionType(
    name="application_settings",
    label="Application settings",
    description="Whatever the application reads: free in shape, as its own schema says.",
    schema={},
    example={"timeout": 2500, "retries": 3},
    examine=_examine,
)

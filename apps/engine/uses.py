"""Keys of documents, and which comes from which."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from apps.engine.paths import Path, format_path
from apps.engine.values import Tree, canonical


class Name(NamedTuple):
    """Whose document: a service in an environment, by their slugs as registered."""

    service: str
    environment: str

    def __str__(self) -> str:
        return f"{self.service}@{self.environment}"


class Target(NamedTuple):
    """A key of a document."""

    document: Name
    path: Path

    def __str__(self) -> str:
        return f"{self.document}:{format_path(self.path)}"


@dataclass(frozen=True, slots=True)
class Use:
    """A key of a document comes from a key elsewhere, over so many references (``hops``)."""

    path: Path
    target: Target
    hops: int = 1


def meet(one: Path, other: Path) -> bool:
    """Whether one of the paths leads to the other, or on from it."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def dump_uses(uses: Iterable[Use]) -> str:
    """Uses as they are stored: canonical JSON."""
    return canonical(
        [
            {
                "at": list(use.path),
                "service": use.target.document.service,
                "environment": use.target.document.environment,
                "key": list(use.target.path),
                "hops": use.hops,
            }
            for use in uses
        ]
    )


def load_uses(stored: Tree) -> tuple[Use, ...]:
    """Uses from what was stored, parsed."""
    return tuple(
        Use(
            tuple(each["at"]),
            Target(Name(each["service"], each["environment"]), tuple(each["key"])),
            each["hops"],
        )
        for each in stored
    )

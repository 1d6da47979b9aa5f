"""Versions: what was published, as the caller sees it."""

from dataclasses import replace
from typing import Annotated, Any, Self

import strawberry

from apps.api.base import bad_member
from apps.api.graphql import configurations
from apps.api.graphql.context import Info, find
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import HEAVY, field, node
from apps.api.graphql.scalars import Json, Long, Time
from apps.api.versions import present_past, present_source
from apps.configs.selectors.configurations import Published, refuse_retired
from apps.configs.selectors.sections import env_sections
from apps.delivery.answers import Question, answer, envelope_members, narrowed
from apps.delivery.reads import note_read
from apps.engine import formats, paths

Format = Annotated[str, strawberry.argument(name="format")]


@node
class Source:
    """What the author wrote."""

    content: str
    format: str
    extends: Json


@node
class Version:
    """One published state of a configuration. It never changes."""

    seen: strawberry.Private[Published]
    owner: strawberry.Private[Any]
    version: int
    revision: Long
    checksum: str = strawberry.field(description="Of the document as the caller sees it.")
    published_at: Time
    pinned: bool = strawberry.field(description="True for what is live alone.")
    outdated: bool = strawberry.field(description="True for what is live alone.")
    author: str
    message: str
    cause: str
    retired: bool
    restores: int | None
    promotes: Json | None

    @classmethod
    def of(cls, seen: Published, owner: Any) -> Self:
        """The version that somebody sees, of its configuration ``owner``."""
        past = present_past(seen)
        shown = {"pinned": False, "outdated": False, **envelope_members(seen, seen.text), **past}
        del shown["service"], shown["environment"]
        return cls(seen=seen, owner=owner, **shown)

    @field()
    def configuration(self) -> ConfigurationRef:
        """The configuration that it is of. The service and the environment."""
        owner: configurations.Configuration = self.owner
        return owner

    @field(cost=HEAVY)
    def keys(self) -> list[str]:
        """The keys that it changed. As far as the caller may know of them."""
        return self.seen.keys

    @field(cost=HEAVY)
    def config(self, info: Info, keys: list[str] | None = None) -> Json | None:
        """The document, with secrets by their names; keys are globs that narrow it.

        ``None`` for a retirement.
        """
        globs = keys or []
        paths.parse_globs(globs)
        if self.seen.row.retired:
            return None
        self._note(info, globs)
        return narrowed(self.seen.tree, globs)

    @field(cost=HEAVY)
    def value(self, info: Info, key: str) -> Json | None:
        """One value, by its path.

        ``None`` where there is no such key, or none that the caller may see.
        """
        path = paths.parse_path(key)
        found, value = paths.find(refuse_retired(self.seen).tree, path)
        self._note(info, [key])
        return value if found else None

    @field(cost=HEAVY)
    def file(
        self, info: Info, format_: Format, keys: list[str] | None = None, section: str = ""
    ) -> str | None:
        """The document as a file of that format.

        As REST gives it with that suffix; ``None`` where there is no such section.
        """
        if format_ not in formats.FORMATS:
            raise bad_member("format", f"'format' is one of {', '.join(formats.FORMATS)}.")
        asked = tuple(keys or ())
        paths.parse_globs(asked)
        refuse_retired(self.seen)
        question = Question("envelope", format_, asked, section)
        if format_ == "env":
            found = env_sections(self._place.service, self.seen.tree)
            question = replace(question, env_sections=found)
        made = find(info, lambda: answer(self.seen, question))
        self._note(info, asked)
        return None if made is None else made.body.decode()

    @field(cost=HEAVY)
    def source(self, info: Info) -> Source:
        """What the author wrote. As far as the caller sees it."""
        self._note(info, [])
        return Source(**present_source(self.seen))

    @field(cost=HEAVY)
    def lock(self) -> Json:
        """The version of every layer that went in. Lowest first."""
        return self.seen.lock

    @property
    def _place(self) -> Any:
        return self.owner.here.place

    def _note(self, info: Info, keys: Any) -> None:
        note_read(actor=info.context.actor, place=self._place, version=self.seen.version, keys=keys)

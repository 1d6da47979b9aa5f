"""Publishing, and all else that makes a version of a configuration."""

from enum import Enum
from typing import Any, Self

import strawberry

from apps.api.config import ConfigView
from apps.api.graphql.acts import ACT, Sent, absent, members_of, perform, query_of
from apps.api.graphql.context import Info
from apps.api.graphql.edges import ConfigurationRef
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Extend, Given
from apps.api.graphql.outcomes import Followers, Outcome, find_configuration
from apps.api.graphql.scalars import Json, Long, Time
from apps.api.promoting import PromoteView
from apps.api.restoring import RollbackEverywhereView
from apps.api.versions import RedactView, RefreshView, RollbackView
from apps.engine.errors import NOTHING_HERE, MalformedError, NotFoundError
from apps.engine.formats import split_suffix


@strawberry.enum(description="What to do where somebody else published in between.")
class OnStale(Enum):
    """What to do with a stale base."""

    REJECT = "reject"
    MERGE = "merge"
    OVERWRITE = "overwrite"


@strawberry.enum(description="What to do about configurations that would become invalid.")
class OnDependents(Enum):
    """What to do about dependents."""

    REFUSE = "refuse"
    LEAVE = "leave"


@given
class WhereInput:
    """Where, and why."""

    environment: str | None = absent("As in REST: absent, the account's own, else the default one.")
    message: str | None = absent("Why.")
    base_version: int | None = absent("The version that this is a change of.")
    dry_run: bool | None = absent("Say what would follow, and store nothing.")


@given
class WriteInput(WhereInput):
    """How a write is done."""

    on_stale: OnStale | None = absent("Absent: REJECT. OVERWRITE needs no base.")
    dependents: OnDependents | None = absent("Absent: REFUSE.")
    propose: bool | None = absent("Open a change request in place of publishing.")


@given
class PublishInput(WriteInput):
    """A document: 'config', or 'content' with 'format'."""

    config: Json | None = absent()
    content: str | None = absent("The text as it is written.")
    format: str | None = absent("json, yaml, toml, xml, env or properties.")
    extends: list[Extend] | None = absent("The templates below. Absent: as it was.")
    choices: Json | None = absent("For MERGE: base, ours or theirs, by pointer.")


@given
class PatchOperation:
    """One operation of a JSON Patch (RFC 6902)."""

    op: str
    path: str
    from_: str | None = absent(name="from")
    value: Json | None = absent()


@given
class PatchInput(WriteInput):
    """A change of the composed document: 'merge' or 'operations'."""

    merge: Json | None = absent("A JSON Merge Patch (RFC 7396).")
    operations: list[PatchOperation] | None = absent("A JSON Patch (RFC 6902).")


@given
class PromoteInput(WriteInput):
    """What is brought here, and from where."""

    from_: str = strawberry.field(name="from", description="ENV or ENV@N.")
    keys: list[str] | None = absent("Globs. Absent: all.")
    choices: Json | None = absent("For MERGE: base, ours or theirs, by pointer.")


@given
class RollbackInput(WhereInput):
    """To which version. Without 'toVersion' and 'at': the one before the live one."""

    to_version: int | None = absent()
    at: Time | None = absent()
    keys: list[str] | None = absent("Globs: those keys alone, as overrides.")


@given
class RollbackEverywhereInput:
    """To which point in time, and what of all there is."""

    at: str = strawberry.field(description="A time (RFC 3339) or a revision.")
    service: str | None = absent("Absent: every one.")
    environment: str | None = absent("Absent: every one.")
    keys: list[str] | None = absent("Globs: those keys alone, as overrides.")
    absent_: str | None = absent(
        "What was not there then: leave or retire. Absent: leave.", name="absent"
    )
    message: str | None = absent("Why.")
    dry_run: bool | None = absent("Say what would follow, and store nothing.")


@given
class RefreshInput(WhereInput):
    """What is composed afresh."""


@given
class RedactInput:
    """The value that is to go."""

    environment: str | None = absent()
    version: int
    key: str
    message: str | None = absent("Why. It may not hold the value.")


@node
class Redaction:
    """What an act of redaction changed."""

    texts: int
    drafts: int
    revision: Long
    templates: list[str] = strawberry.field(description="Those that hold the value and keep it.")
    archives: list[str] | None = strawberry.field(
        description="The backups that hold it until they are pruned; null: the storage is away."
    )


@node
class Restoration:
    """What going back to a point in time did, or would do."""

    revision: Long | None = strawberry.field(description="Null when nothing was done.")
    to_revision: Long
    to_time: Time
    results: list[Outcome]
    unchanged: int = strawberry.field(description="How many are as they were.")
    absent: list[str] = strawberry.field(description="SERVICE@ENVIRONMENT: not there then, left.")
    affected: Followers
    dry_run: bool

    @classmethod
    def of(cls, told: Any) -> Self:
        """What REST tells of it."""
        return cls(
            revision=told.get("revision"),
            to_revision=told["at"]["revision"],
            to_time=told["at"]["time"],
            results=[
                Outcome.of({"affected": [], **each}, each["service"], each["environment"])
                for each in told["results"]
            ],
            unchanged=told["unchanged"],
            absent=[f"{each['service']}@{each['environment']}" for each in told["absent"]],
            affected=Followers.of(told["affected"]),
            dry_run=told.get("dry_run", False),
        )


@node
class RevealedConfiguration:
    """A configuration with the values of its secrets."""

    version: int
    revision: Long
    checksum: str
    config: Json
    configuration: ConfigurationRef | None


@node
class Mutations:
    """What can be done with configurations."""

    @field(cost=ACT)
    def publish(self, info: Info, service: str, input_: Given[PublishInput]) -> Outcome | None:
        """Publish a new version, the first one too. Needs `publish` on the keys that change."""
        told = perform(info, ConfigView, "post", input_, service=service)
        return Outcome.of(told, service, _environment(input_))

    @field(cost=ACT)
    def patch(self, info: Info, service: str, input_: Given[PatchInput]) -> Outcome | None:
        """Publish a patch of the composed document. The source gets the smallest override."""
        members = members_of(input_)
        body, kind = _patch_of(members)
        told = perform(
            info, ConfigView, "patch", Sent(body, query_of(members), kind), service=service
        )
        return Outcome.of(told, service, _environment(input_))

    @field(cost=ACT)
    def retire(self, info: Info, service: str, input_: Given[WriteInput]) -> Outcome | None:
        """Retire the configuration. A version without content; a rollback brings it back."""
        sent = Sent(query=query_of(members_of(input_)))
        told = perform(info, ConfigView, "delete", sent, service=service)
        return Outcome.of(told, service, _environment(input_))

    @field(cost=ACT)
    def rollback(self, info: Info, service: str, input_: Given[RollbackInput]) -> Outcome | None:
        """Publish what an earlier version was. Needs `rollback` on every key that changes."""
        told = perform(info, RollbackView, "post", input_, service=service)
        return Outcome.of(told, service, _environment(input_))

    @field(cost=ACT)
    def rollback_everywhere(
        self, info: Info, input_: Given[RollbackEverywhereInput]
    ) -> Restoration | None:
        """Make configurations again what they were. One act. Needs `rollback` on all of the scope."""
        return Restoration.of(perform(info, RollbackEverywhereView, "post", input_))

    @field(cost=ACT)
    def promote(self, info: Info, service: str, input_: Given[PromoteInput]) -> Outcome | None:
        """Bring another environment's configuration, or chosen keys of it, here."""
        told = perform(info, PromoteView, "post", input_, service=service)
        return Outcome.of(told, service, _environment(input_))

    @field(cost=ACT)
    def refresh(self, info: Info, service: str, input_: Given[RefreshInput]) -> Outcome | None:
        """Compose the live source afresh. It ends being pinned or outdated."""
        told = perform(info, RefreshView, "post", input_, service=service)
        return Outcome.of(told, service, _environment(input_))

    @field(cost=ACT)
    def redact(self, info: Info, service: str, input_: Given[RedactInput]) -> Redaction | None:
        """Take a value out of everything that is kept. Refused while it is live."""
        return Redaction(**perform(info, RedactView, "post", input_, service=service))

    @field(cost=ACT)
    def reveal_configuration(
        self,
        info: Info,
        service: str,
        environment: str | None = None,
        keys: list[str] | None = None,
    ) -> RevealedConfiguration | None:
        """The live document with the values of its secrets. Audited before they are told."""
        if split_suffix(service)[1]:
            raise NotFoundError(NOTHING_HERE)
        query = {"environment": environment, "key": keys, "reveal": True}
        told = perform(info, ConfigView, "get", Sent(query=query_of(query)), service=service)
        return RevealedConfiguration(
            **{name: told[name] for name in ("version", "revision", "checksum", "config")},
            configuration=find_configuration(info, service, environment),
        )


def _environment(input_: Any) -> str | None:
    return input_.environment or None


def _patch_of(members: Any) -> tuple[object, str]:
    found = [members.pop(name, None) for name in ("merge", "operations")]
    if (found[0] is None) == (found[1] is None):
        raise MalformedError("Send either 'merge' or 'operations'.")
    if found[0] is not None:
        return found[0], "application/merge-patch+json"
    return found[1], "application/json-patch+json"

"""Importing, verifying the ledger, and tickets for streams."""

import base64
import binascii
from typing import Any

import strawberry

from apps.api.base import bad_member
from apps.api.exchange import ImportView
from apps.api.graphql.acts import ACT, Sent, absent, perform, query_of
from apps.api.graphql.context import Info
from apps.api.graphql.fields import field, given, node
from apps.api.graphql.inputs import Given
from apps.api.graphql.outcomes import Finding
from apps.api.graphql.scalars import Time
from apps.api.ledger import VerificationView
from apps.api.system import TicketsView


@given
class ImportInput:
    """What is brought in: 'archive', or 'content' as the one file 'file'."""

    from_: str = strawberry.field(
        name="from", description="tree, spring, consul, nacos, apollo, kubernetes or env."
    )
    archive: str | None = absent("A ZIP archive in Base64.")
    content: str | None = absent("A text in JSON or YAML.")
    file: str | None = absent("The name of a single file.")
    environment: str | None = absent("Of what names none.")
    map: list[str] | None = absent("THERE:HERE, how environments are called here.")
    dry_run: bool | None = absent("Say what would follow, and store nothing.")
    acknowledge: bool | None = absent("Although live configurations fail its sections and rules.")


@node
class Imported:
    """What became of one thing."""

    kind: str
    name: str
    status: str
    version: int | None
    files: list[str]
    errors: list[Finding]
    warnings: list[Finding]

    @classmethod
    def of(cls, told: Any) -> "Imported":
        """The row that REST tells of."""
        found = {name: Finding.all(told[name]) for name in ("errors", "warnings")}
        return cls(**{"version": None, **told, **found})


@node
class ImportOutcome:
    """What an import did, or would do: all of it or nothing."""

    stored: bool
    dry_run: bool
    results: list[Imported]


@node
class Ticket:
    """What opens one stream that cannot send a header."""

    ticket: str
    expires_at: Time


def _body_of(input_: ImportInput) -> tuple[bytes, str]:
    if bool(input_.archive) == bool(input_.content):
        raise bad_member("archive", "Send either 'archive' or 'content'.")
    if input_.content:
        name = input_.file or "import.json"
        kind = "application/json" if name.endswith(".json") else "application/yaml"
        return input_.content.encode(), kind
    try:
        return base64.b64decode(str(input_.archive), validate=True), "application/zip"
    except (binascii.Error, ValueError) as error:
        raise bad_member("archive", "'archive' is a ZIP archive in Base64.") from error


@node
class Mutations:
    """What can be done beside."""

    @field(cost=ACT, name="import")
    def bring(self, info: Info, input_: Given[ImportInput]) -> ImportOutcome | None:
        """Import an export, or what another system keeps. All of it or nothing."""
        body, kind = _body_of(input_)
        query = query_of(
            {
                "from": input_.from_,
                **{
                    name: getattr(input_, name) or None
                    for name in ("file", "environment", "map", "dry_run", "acknowledge")
                },
            }
        )
        told = perform(info, ImportView, "post", Sent(body, query, kind))
        return ImportOutcome(
            stored=told["stored"],
            dry_run=told.get("dry_run", False),
            results=[Imported.of(each) for each in told["results"]],
        )

    @field(cost=ACT)
    def verify_ledger(self, info: Info) -> bool | None:
        """Have the ledger verified. False where that is about to be done already."""
        started: bool = perform(info, VerificationView, "post")["started"]
        return started

    @field(cost=ACT)
    def create_stream_ticket(self, info: Info) -> Ticket | None:
        """Make a ticket for a stream. 30 seconds, one use."""
        return Ticket(**perform(info, TicketsView, "post"))

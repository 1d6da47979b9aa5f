"""Making, checking, trying and pruning backups."""

from typing import Any

import strawberry

from apps.api.backups import BackupDrillView, BackupPruneView, BackupsView, BackupVerifyView
from apps.api.graphql.acts import ACT, perform
from apps.api.graphql.backups import BackupRun
from apps.api.graphql.context import Info
from apps.api.graphql.fields import field, node
from apps.api.graphql.scalars import Long


@node
class KeptBackup:
    """An archive that pruning keeps, and why."""

    name: str
    because: list[str]


@node
class PrunedBackup:
    """An archive that pruning takes."""

    name: str
    bytes: Long


@node
class Pruning:
    """The run that prunes; of a dry run, what it would keep and take."""

    run: BackupRun | None
    keep: str | None = strawberry.field(description="The retention of the settings.")
    kept: list[KeptBackup]
    deleted: list[PrunedBackup]
    dry_run: bool

    @classmethod
    def of(cls, told: Any) -> "Pruning":
        """What REST tells of it."""
        return cls(
            run=BackupRun.told(told["run"]) if "run" in told else None,
            keep=told.get("keep"),
            kept=[KeptBackup(**each) for each in told.get("kept", ())],
            deleted=[PrunedBackup(**each) for each in told.get("deleted", ())],
            dry_run=told.get("dry_run", False),
        )


@node
class Mutations:
    """What can be done with them."""

    @field(cost=ACT)
    def create_backup(self, info: Info) -> BackupRun | None:
        """Have a backup of everything made."""
        return BackupRun.told(perform(info, BackupsView, "post", {})["run"])

    @field(cost=ACT)
    def verify_backup(self, info: Info, name: str) -> BackupRun | None:
        """Have a backup read whole, with all that it stands on."""
        return BackupRun.told(perform(info, BackupVerifyView, "post", {}, name=name)["run"])

    @field(cost=ACT)
    def drill_backup(self, info: Info) -> BackupRun | None:
        """Have the newest backup restored on trial."""
        return BackupRun.told(perform(info, BackupDrillView, "post", {})["run"])

    @field(cost=ACT)
    def prune_backups(self, info: Info, *, dry_run: bool = False) -> Pruning | None:
        """Have old backups deleted, or see which."""
        return Pruning.of(perform(info, BackupPruneView, "post", {"dry_run": dry_run}))

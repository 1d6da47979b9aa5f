"""The ledger. One row per event, chained by hashes; one head row that numbers them."""

from django.db import models

from apps.core.appendonly import AppendOnlyModel, AppendOnlyQuerySet


class AuditEvent(AppendOnlyModel):
    """One thing that was done: who, what, on what, when. Never changes, never goes.

    ``number`` counts 1, 2, 3 … without gaps. The events of one transaction have consecutive
    numbers and share ``revision``, the last of them. ``data`` is canonical JSON text.
    ``hash`` is :func:`apps.engine.chain.event_hash` over the other fields and ``previous``.
    """

    number = models.BigIntegerField(primary_key=True)
    revision = models.BigIntegerField(db_index=True)
    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=300)
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=300)
    data = models.TextField()
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["number"]
        default_permissions = ()
        indexes = [
            models.Index(fields=["target", "number"], name="event_by_target"),
            models.Index(fields=["actor", "number"], name="event_by_actor"),
            models.Index(fields=["action", "number"], name="event_by_action"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.action} {self.target}"


class Head(models.Model):
    """One row: where the ledger ends. Locked last in each act, so numbers follow commit order."""

    number = models.BigIntegerField(default=0)
    at = models.DateTimeField()
    hash = models.CharField(max_length=64)
    epoch = models.CharField(max_length=16)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"

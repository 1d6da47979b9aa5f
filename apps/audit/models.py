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
    target = models.CharField(max_length=400)  # a kind, and three names of 128 at most
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
    """One row: where the ledger ends. Locked last in each act, so numbers follow commit order.

    ``identity`` is that of the database in which ``epoch`` was begun; see ``epochs``.
    """

    number = models.BigIntegerField(default=0)
    at = models.DateTimeField()
    hash = models.CharField(max_length=64)
    epoch = models.CharField(max_length=16)
    identity = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


class PublicKey(AppendOnlyModel):
    """A key that this installation has signed by. Kept for ever: old signatures still verify."""

    key_id = models.CharField(max_length=64, primary_key=True)
    public = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["created_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.key_id


class Checkpoint(AppendOnlyModel):
    """A signed statement of what the ledger's hash was at a revision; ``line`` is all of it.

    Rows here are for showing: whoever can rewrite the ledger can rewrite them. What proves
    something is a copy that was taken out of his reach.
    """

    revision = models.BigIntegerField(db_index=True)
    at = models.DateTimeField()
    line = models.TextField()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"checkpoint at {self.revision}"


class Verification(AppendOnlyModel):
    """When the ledger was verified, by whom, and what came out."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=300)
    ok = models.BooleanField()
    revision = models.BigIntegerField()
    events = models.BigIntegerField()
    checkpoints = models.IntegerField()
    outcome = models.TextField()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.outcome}"


class SinkCursor(models.Model):
    """How far the ledger was brought to one sink, and what went wrong last."""

    name = models.CharField(max_length=32, primary_key=True)
    number = models.BigIntegerField()
    delivered_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True, default="")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} at {self.number}"


class RefusedRead(models.Model):
    """How often somebody was refused to read something, on one day: counted, not logged."""

    actor = models.CharField(max_length=300)
    target = models.CharField(max_length=300)
    day = models.DateField(db_index=True)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-last_at"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["actor", "target", "day"], name="refused_read_once")
        ]

    def __str__(self) -> str:
        return f"{self.actor} was refused {self.target} {self.count} times"

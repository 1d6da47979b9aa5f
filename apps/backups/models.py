"""What became of making, checking, trying and pruning archives."""

import uuid

from django.db import models


class Run(models.Model):
    """One piece of work on archives: asked for by somebody, done by the job runner, and ended.

    The row is what people follow while it goes on: ``done`` of ``total`` (0: not known) of the
    ``step``. A job of its key does it, again after a crash, and ends it in any case. ``problem`` is
    empty when all was well; ``revision`` and ``size`` (bytes) say of what, for pruning of the act
    and what it freed. It is about the archives, not of the installation: no archive holds it, and
    its key is never given again.
    """

    CREATE, VERIFY, DRILL, PRUNE = "create", "verify", "drill", "prune"
    KINDS = (
        (CREATE, "make a backup"),
        (VERIFY, "verify a backup"),
        (DRILL, "restore a backup on trial"),
        (PRUNE, "delete old backups"),
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=KINDS)
    archive = models.CharField(max_length=200, blank=True, default="")
    author = models.CharField(max_length=200)
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    step = models.CharField(max_length=200, blank=True, default="")
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    revision = models.BigIntegerField(null=True, blank=True)
    size = models.BigIntegerField(null=True, blank=True)
    problem = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-asked_at"]
        default_permissions = ()
        indexes = [
            models.Index(fields=["-asked_at"], name="run_asked"),
            models.Index(fields=["archive"], name="run_archive"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "archive"],
                condition=models.Q(ended_at__isnull=True),
                name="run_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.archive}".strip()

    @property
    def state(self) -> str:
        """``waiting``, ``running``, ``done`` or ``failed``."""
        if self.ended_at is not None:
            return "failed" if self.problem else "done"
        return "running" if self.started_at is not None else "waiting"

    @property
    def percent(self) -> int | None:
        """How much of the step is done; ``None`` where that is not known."""
        return min(100, 100 * self.done // self.total) if self.total else None

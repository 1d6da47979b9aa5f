"""What lies below everything: logins, jobs with their runs, and places that may be called."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac
from simple_history.models import HistoricalRecords


class User(AbstractUser):
    """A login. People and service accounts are both users, so one grant model serves both.

    Lives at the bottom of the layers because every history row and draft points to it; what a
    user may do is decided in ``apps.access`` alone. Sessions that were opened before
    ``sessions_since`` have ended, as after a new password: it is part of what they are bound to.
    """

    sessions_since = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "person"
        verbose_name_plural = "people"

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What Django compares a session with: it follows the password and the moment above."""
        since = self.sessions_since.isoformat() if self.sessions_since else ""
        value = f"{self.password}|{since}"
        return salted_hmac("core.User.session", value, secret, algorithm="sha256").hexdigest()


class Job(models.Model):
    """Something to do at a time. The row is the truth: whoever holds its lease does it.

    ``kind`` names what to do and ``key`` about what: of each pair one row is pending at a time.
    ``argument`` is canonical JSON of names and numbers, ``subject`` is what people read. A lease
    that ran out means that its holder has died: the job is done again. ``wanted_at`` is set by
    whoever wants it once more while it runs.
    """

    OUTCOMES = (("", "pending"), ("done", "done"), ("failed", "failed"), ("cancelled", "cancelled"))

    kind = models.CharField(max_length=64)
    key = models.CharField(max_length=200, blank=True, default="")
    subject = models.CharField(max_length=400, blank=True, default="")
    argument = models.TextField(default="{}")
    due_at = models.DateTimeField()
    wanted_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=OUTCOMES, blank=True, default="")

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(finished_at__isnull=True), name="job_due"
            ),
            models.Index(fields=["finished_at"], name="job_finished"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "key"],
                condition=models.Q(finished_at__isnull=True),
                name="job_pending_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject or self.key}".strip()


class JobRun(models.Model):
    """One attempt at a job: by whom, from when to when, and what became of it.

    Without an end it is running, or its process died (``lost`` once that is known).
    """

    OUTCOMES = (("", "running"), ("done", "done"), ("failed", "failed"), ("lost", "lost"))

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="runs")
    attempt = models.PositiveIntegerField()
    process = models.CharField(max_length=200)
    started_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=OUTCOMES, blank=True, default="")
    error = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-started_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.job}, attempt {self.attempt}"


class Connection(models.Model):
    """A named place that the server may call. Only administrators make them.

    ``address`` is ``https://host/path`` of a webhook, ``postgres://host:port/database``, or
    ``https://host/bucket/prefix`` of S3-compatible storage. The ``credential`` is a secret of the vault,
    by its key: what a webhook's calls are signed with, the password of the PostgreSQL role ``login``, the
    secret key of the access key ``login``. ``roles`` are the PostgreSQL roles whose passwords may
    be set through it. ``services`` (``checkout``, ``checkout@production``) name those whose secrets may
    use it by their keepers' decision; for others an administrator decides.
    """

    KINDS = (("webhook", "signed webhook"), ("postgres", "PostgreSQL"), ("s3", "S3 storage"))
    TLS = (("verify-full", "verified"), ("require", "not verified"), ("disable", "none"))

    slug = models.CharField("name", max_length=128)
    kind = models.CharField(max_length=16, choices=KINDS)
    address = models.CharField(max_length=500)
    login = models.CharField(max_length=63, blank=True, default="")
    credential = models.UUIDField()
    tls = models.CharField("TLS", max_length=16, choices=TLS, default="verify-full")
    authorities = models.TextField(blank=True, default="")
    roles = models.JSONField(default=list, blank=True)
    services = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["slug"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                Lower("slug"),
                condition=models.Q(deleted_at__isnull=True),
                name="connection_name_once",
            )
        ]

    def __str__(self) -> str:
        return self.slug

"""Secrets: names that change, values that never do, and the wrapped keys between them."""

import uuid

from django.db import models
from django.db.models.functions import Lower
from simple_history.models import HistoricalRecords

from apps.core.appendonly import AppendOnlyModel, AppendOnlyQuerySet
from apps.core.models import Connection
from apps.registry.models import Configuration, Environment, NamedQuerySet, Service

STAGES = (("pending", "pending"), ("current", "current"), ("previous", "previous"))


class Secret(models.Model):
    """A named value of a service in an environment. The value is in its versions, sealed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="secrets")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="secrets")
    slug = models.CharField("name", max_length=128)
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    deleted_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords()

    objects = NamedQuerySet.as_manager()

    class Meta:
        ordering = ["service__slug", "environment__rank", "slug"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                "service",
                "environment",
                Lower("slug"),
                condition=models.Q(deleted_at__isnull=True),
                name="secret_name_once_per_place",
            )
        ]

    def __str__(self) -> str:
        return f"{self.service}@{self.environment}/{self.slug}"


class SecretVersion(AppendOnlyModel):
    """One value of a secret: sealed under a data key of its own. The key is a row of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    sealed = models.BinaryField()
    author = models.CharField(max_length=300)
    revision = models.BigIntegerField()
    created_at = models.DateTimeField()

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["secret", "number"], name="secret_version_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.secret} v{self.number}"


class WrappedKey(models.Model):
    """A version's data key, wrapped. Wrapping again replaces it; without it the value is gone."""

    version = models.OneToOneField(
        SecretVersion, on_delete=models.PROTECT, primary_key=True, related_name="wrapped"
    )
    key_id = models.CharField(max_length=100, db_index=True)
    wrapped = models.BinaryField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.version_id} by {self.key_id}"


class KnownKey(AppendOnlyModel):
    """A key-encryption key that has wrapped something here, whether or not it is still there.

    It tells a wrapped key whose key is merely not loaded from one whose ``key_id`` was altered.
    """

    key_id = models.CharField(max_length=100, primary_key=True)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key_id


class SecretStage(models.Model):
    """Which version of a secret is pending, current or previous: a pointer."""

    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="stages")
    stage = models.CharField(max_length=16, choices=STAGES)
    version = models.ForeignKey(SecretVersion, on_delete=models.PROTECT, related_name="stages")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["secret", "stage"], name="secret_stage_once")
        ]

    def __str__(self) -> str:
        return f"{self.stage}: {self.version}"


class SecretUse(models.Model):
    """A live configuration names a secret of ``service``; which row that is depends on the place."""

    configuration = models.ForeignKey(
        Configuration, on_delete=models.CASCADE, related_name="secret_uses"
    )
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    slug = models.CharField("name", max_length=128)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["service", "slug"], name="secret_use_by_name")]
        constraints = [
            models.UniqueConstraint(
                fields=["configuration", "service", "slug"], name="secret_use_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.configuration} uses {self.service}/{self.slug}"


class Disclosure(models.Model):
    """That an account was given a secret's version with a configuration: since when, how often."""

    version = models.ForeignKey(SecretVersion, on_delete=models.PROTECT, related_name="disclosures")
    account = models.CharField(max_length=300)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=1)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["version", "account"], name="disclosure_once")
        ]

    def __str__(self) -> str:
        return f"{self.version} to {self.account}"


class Rotation(models.Model):
    """How a secret gets new values by itself: by which rotator, how often, with what settings.

    ``options`` is canonical JSON of the rotator's own settings. ``every_days`` absent: only when
    somebody asks for it. The value before stays readable for ``keep_hours``, then it is destroyed.
    """

    secret = models.OneToOneField(
        Secret, on_delete=models.PROTECT, primary_key=True, related_name="rotation"
    )
    rotator = models.CharField(max_length=32)
    options = models.TextField(default="{}")
    connection = models.ForeignKey(
        Connection, null=True, blank=True, on_delete=models.PROTECT, related_name="rotations"
    )
    every_days = models.PositiveIntegerField(null=True, blank=True)
    keep_hours = models.PositiveIntegerField(default=24)
    created_at = models.DateTimeField()
    history = HistoricalRecords()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.rotator} of {self.secret}"


class RotationRun(models.Model):
    """One rotation: the version it began with, the pending one that it makes, and how far it is.

    ``step`` is what is to be done next. A run ends when the pending version is current, or with
    the reason why it is not, in words without any value.
    """

    STEPS = (("create", "create"), ("set", "set"), ("test", "test"), ("finish", "finish"))
    STATES = (("running", "running"), ("done", "done"), ("failed", "failed"))

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="rotation_runs")
    began_with = models.ForeignKey(SecretVersion, on_delete=models.PROTECT, related_name="+")
    pending = models.ForeignKey(
        SecretVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    step = models.CharField(max_length=8, choices=STEPS, default="create")
    state = models.CharField(max_length=8, choices=STATES, default="running")
    error = models.TextField(blank=True, default="")
    author = models.CharField(max_length=300)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started_at"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["secret"],
                condition=models.Q(state="running"),
                name="rotation_runs_once_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.secret}, {self.state} at {self.step}"

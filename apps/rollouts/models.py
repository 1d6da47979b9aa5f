"""Running consumers, as far as they tell, and experiments with what came of them."""

import uuid
from datetime import datetime

from django.db import models
from django.db.models.functions import Lower
from simple_history.models import HistoricalRecords

from apps.access.models import ServiceAccount
from apps.configs.models import Overlay
from apps.registry.models import Configuration


class Instance(models.Model):
    """A running consumer: which version of a configuration it said it runs, and when last."""

    account = models.ForeignKey(ServiceAccount, on_delete=models.CASCADE, related_name="instances")
    name = models.CharField(max_length=200)
    configuration = models.ForeignKey(
        Configuration, on_delete=models.CASCADE, related_name="instances"
    )
    version = models.PositiveIntegerField(null=True)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-seen_at"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name", "configuration"], name="instance_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Experiment(models.Model):
    """Variants of a configuration for shares of its units, and what is measured of them.

    ``audience`` is a condition (see ``flag_conditions``), ``metrics`` a list of
    ``{name, kind, goal}``, ``slots`` the parts of its group that it has while it runs, as pairs of
    first and one beyond the last, all canonical JSON. ``holdout`` and ``share`` are percentages of
    the group's units. ``exclusion`` names the group; empty: the configuration's own.

    ``planned_end`` is what ``ends_at`` was at the start: on rows of ``list_experiments`` alone.
    """

    planned_end: datetime | None

    DRAFT, RUNNING, STOPPED = "draft", "running", "stopped"
    STATES = ((DRAFT, "Draft"), (RUNNING, "Running"), (STOPPED, "Stopped"))

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    configuration = models.ForeignKey(
        Configuration, on_delete=models.PROTECT, related_name="experiments"
    )
    name = models.CharField(max_length=128)
    description = models.TextField(blank=True, default="")
    state = models.CharField(max_length=8, choices=STATES, default=DRAFT)
    audience = models.TextField(default="{}")
    holdout = models.FloatField(default=0)
    share = models.FloatField(default=100)
    exclusion = models.CharField(max_length=128, blank=True, default="")
    slots = models.TextField(default="[]")
    metrics = models.TextField(default="[]")
    alpha = models.FloatField(default=0.05)
    tuned_for = models.PositiveIntegerField(default=5_000)
    winner = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField()
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["-created_at"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                "configuration", Lower("name"), name="experiment_name_once_per_configuration"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    """One variant of an experiment: its weight against the others, and what it lays.

    The control is the first, and lays nothing.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="variants")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=64)
    weight = models.FloatField()
    overlay = models.OneToOneField(
        Overlay, null=True, on_delete=models.PROTECT, related_name="variant"
    )

    class Meta:
        ordering = ["position"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="variant_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Exposure(models.Model):
    """A unit was given a variant, and when first. ``mixed``: it was given another one too.

    ``unit`` is a digest of its name: who it was is not kept.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="exposures")
    unit = models.CharField(max_length=32)
    variant = models.CharField(max_length=64)
    first_at = models.DateTimeField()
    mixed = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["experiment", "unit"], name="exposure_once"),
        ]

    def __str__(self) -> str:
        return f"{self.unit} got {self.variant}"


class Outcome(models.Model):
    """What a unit did by one metric: how often, and the sum of its values."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="outcomes")
    metric = models.CharField(max_length=64)
    unit = models.CharField(max_length=32)
    count = models.PositiveIntegerField(default=0)
    total = models.FloatField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["experiment", "metric", "unit"], name="outcome_once"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.unit}"

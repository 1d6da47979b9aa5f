"""Identities: what is configured, and where. Writes to them live in ``apps.configs``."""

from typing import TypeVar

from django.contrib.auth.models import Group
from django.db import models
from django.db.models.functions import Lower
from simple_history.models import HistoricalRecords

VERBS = (
    ("list", "see names"),
    ("read", "read values"),
    ("edit", "edit drafts"),
    ("publish", "publish"),
    ("rollback", "roll back"),
    ("approve", "approve changes"),
    ("reveal", "reveal secrets"),
    ("audit", "read the ledger and histories"),
    ("secure", "write secrets and key rules"),
    ("manage", "manage sections, accounts and grants"),
)

INSTALLATION = "system:installation"
"""Who made the first environments: no act in the ledger, which begins after them."""

models.CharField.register_lookup(Lower)

NamedT = TypeVar("NamedT", bound=models.Model)


class NamedQuerySet(models.QuerySet[NamedT]):
    """Rows that are hidden when deleted, because their names are never used again."""

    def present(self) -> "NamedQuerySet[NamedT]":
        """Those that were not deleted."""
        return self.filter(deleted_at__isnull=True)

    def named(self, slug: str) -> "NamedQuerySet[NamedT]":
        """Those present with this name, regardless of case."""
        return self.present().filter(slug__lower=slug.lower())


class Environment(models.Model):
    """Where a service runs. Environments form a tree: a child inherits its parent's values."""

    slug = models.CharField(max_length=128)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    rank = models.IntegerField(default=0)
    is_default = models.BooleanField(default=False)
    is_protected = models.BooleanField(default=False)
    required_approvals = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords()

    objects = NamedQuerySet.as_manager()

    class Meta:
        ordering = ["rank", "slug"]
        default_permissions = ()
        permissions = VERBS
        constraints = [
            models.UniqueConstraint(Lower("slug"), name="environment_slug_once"),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=models.Q(is_default=True),
                name="environment_one_default",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Service(models.Model):
    """Who is configured: an application, known by a name that never changes."""

    slug = models.CharField(max_length=128)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    owner = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    labels = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords()

    objects = NamedQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        default_permissions = ()
        permissions = VERBS
        constraints = [models.UniqueConstraint(Lower("slug"), name="service_slug_once")]

    def __str__(self) -> str:
        return self.slug


class Configuration(models.Model):
    """One service in one environment: a bare identity, the object that rights hang on."""

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="configurations")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="configurations"
    )

    class Meta:
        ordering = ["service", "environment"]
        default_permissions = ()
        permissions = VERBS
        constraints = [
            models.UniqueConstraint(
                fields=["service", "environment"], name="configuration_once_per_place"
            )
        ]

    def __str__(self) -> str:
        return f"{self.service}@{self.environment}"


class Dependency(models.Model):
    """A key of a configuration takes its value from a key elsewhere, over so many references.

    Written by the act that makes a version; of the versions before, too, where ``live`` is false:
    key rules follow a value to wherever it was taken. The target is a name in lower case, and may
    not exist (yet): a default stands there then.
    """

    configuration = models.ForeignKey(
        Configuration, on_delete=models.CASCADE, related_name="dependencies"
    )
    key = models.TextField()
    service = models.CharField(max_length=128)
    environment = models.CharField(max_length=128)
    target = models.TextField()
    hops = models.PositiveSmallIntegerField(default=1)
    live = models.BooleanField(default=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["service", "environment"], name="dependency_by_target")]

    def __str__(self) -> str:
        return (
            f"{self.configuration}:{self.key} from {self.service}@{self.environment}:{self.target}"
        )


class Composition(models.Model):
    """One row. Whatever moves an input of composing locks it first, so acts see one order."""

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return "composition lock"

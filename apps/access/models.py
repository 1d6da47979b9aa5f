"""Machine logins, grants, and the guardian rows that are made from grants."""

import uuid

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models.functions import Lower
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase
from simple_history.models import HistoricalRecords

from apps.registry.models import VERBS, Configuration, Environment, NamedQuerySet, Service


class ServiceAccount(models.Model):
    """A machine's user. Its rights are its grants; its tokens never have more."""

    slug = models.CharField(max_length=128)
    description = models.TextField(blank=True, default="")
    environment = models.ForeignKey(
        Environment, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="service_account"
    )
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords()

    objects = NamedQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(Lower("slug"), name="service_account_slug_once")]

    def __str__(self) -> str:
        return self.slug


class Token(models.Model):
    """One credential of a service account: ``csk_…``, kept as a SHA-256 digest.

    The token has 256 random bits, so a plain digest is enough; ``prefix`` (its first twelve
    characters) tells people which one it is.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(ServiceAccount, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=200, blank=True, default="")
    prefix = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords(excluded_fields=["digest", "last_used_at"])

    class Meta:
        ordering = ["-created_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.prefix}…"


class KeyRule(models.Model):
    """A pattern of keys that need a right of their own, in one service or environment or all.

    It takes the keys out of every other grant. A rule of an environment holds in those that
    inherit from it too, so it follows a key that comes from there.
    """

    pattern = models.CharField(max_length=1_000)
    service = models.ForeignKey(Service, null=True, on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey(
        Environment, null=True, on_delete=models.PROTECT, related_name="+"
    )
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    history = HistoricalRecords()

    class Meta:
        ordering = ["pk"]
        default_permissions = ()
        permissions = VERBS

    def __str__(self) -> str:
        return f"{self.pattern} in {self.service or '*'}@{self.environment or '*'}"


class Role(models.Model):
    """A named bundle of verbs of one's own, beside the built-in ones. ``verbs`` in their order.

    A grant keeps the name, which never changes; a role that a grant names is not deleted.
    """

    slug = models.CharField(max_length=32)
    description = models.CharField(max_length=500, blank=True, default="")
    verbs = models.JSONField(default=list)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    history = HistoricalRecords()

    class Meta:
        ordering = ["slug"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(Lower("slug"), name="role_slug_once")]

    def __str__(self) -> str:
        return self.slug


class Grant(models.Model):
    """A role or a verb given to a user or group on a scope: why somebody may do something.

    No service and no environment means everywhere; both mean their one configuration; a key rule
    stands alone and means the keys that it covers. It ends at ``expires_at``. The guardian rows
    that permission checks read are made from these by ``access.services``.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="grants"
    )
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=32, blank=True, default="")
    verb = models.CharField(max_length=16, blank=True, default="")
    service = models.ForeignKey(Service, null=True, on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey(
        Environment, null=True, on_delete=models.PROTECT, related_name="+"
    )
    key_rule = models.ForeignKey(
        KeyRule, null=True, on_delete=models.CASCADE, related_name="grants"
    )
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    history = HistoricalRecords()

    class Meta:
        ordering = ["pk"]
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=models.Q(key_rule__isnull=True)
                | models.Q(service__isnull=True, environment__isnull=True),
                name="grant_on_a_key_rule_alone",
            ),
            models.CheckConstraint(
                condition=models.Q(user__isnull=True) ^ models.Q(group__isnull=True),
                name="grant_to_user_or_group",
            ),
            models.CheckConstraint(
                condition=models.Q(role="") ^ models.Q(verb=""), name="grant_of_role_or_verb"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role or self.verb} to {self.user or self.group}"


class AccessGeneration(models.Model):
    """One row: a number that database triggers raise when anything that rights hang on changes.

    While ``held_at`` is set nobody's rights count: the database was restored, and what was withdrawn
    after the backup is not known. It stands here because every request reads this row anyway.
    """

    number = models.BigIntegerField(default=0)
    held_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)


class IdempotencyRecord(models.Model):
    """The first successful answer to a POST with an ``Idempotency-Key``, kept for 24 hours."""

    user_key = models.CharField(max_length=300)
    key = models.CharField(max_length=255)
    path = models.CharField(max_length=1_000)
    body_digest = models.CharField(max_length=64)
    key_rights = models.CharField(max_length=64, default="")
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.TextField(default="{}")
    body = models.TextField(default="")
    credential_id = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user_key", "key", "path"], name="idempotency_key_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_key} {self.key}"


class AttemptCounter(models.Model):
    """How often somebody tried lately, by account, address, device or second factor.

    ``key`` is a kind and a keyed digest: what was typed as a name may be a password.
    """

    key = models.CharField(max_length=80, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(db_index=True)
    blocked_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class ExternalIdentity(models.Model):
    """Who a person is at an OpenID Connect provider: ``subject`` never changes there, names may."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities"
    )
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="external_identity_once")
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class ServiceUserPermission(UserObjectPermissionBase):
    """guardian: a user's permission on a service."""

    content_object = models.ForeignKey(Service, on_delete=models.CASCADE)


class ServiceGroupPermission(GroupObjectPermissionBase):
    """guardian: a group's permission on a service."""

    content_object = models.ForeignKey(Service, on_delete=models.CASCADE)


class EnvironmentUserPermission(UserObjectPermissionBase):
    """guardian: a user's permission on an environment."""

    content_object = models.ForeignKey(Environment, on_delete=models.CASCADE)


class EnvironmentGroupPermission(GroupObjectPermissionBase):
    """guardian: a group's permission on an environment."""

    content_object = models.ForeignKey(Environment, on_delete=models.CASCADE)


class ConfigurationUserPermission(UserObjectPermissionBase):
    """guardian: a user's permission on a configuration."""

    content_object = models.ForeignKey(Configuration, on_delete=models.CASCADE)


class ConfigurationGroupPermission(GroupObjectPermissionBase):
    """guardian: a group's permission on a configuration."""

    content_object = models.ForeignKey(Configuration, on_delete=models.CASCADE)


class KeyRuleUserPermission(UserObjectPermissionBase):
    """guardian: a user's permission on the keys of a rule."""

    content_object = models.ForeignKey(KeyRule, on_delete=models.CASCADE)


class KeyRuleGroupPermission(GroupObjectPermissionBase):
    """guardian: a group's permission on the keys of a rule."""

    content_object = models.ForeignKey(KeyRule, on_delete=models.CASCADE)

"""Versions never change, pointers move."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from simple_history.models import HistoricalRecords

from apps.core.appendonly import AppendOnlyModel, AppendOnlyQuerySet
from apps.registry.models import Configuration, Environment, NamedQuerySet, Service


class Text(AppendOnlyModel):
    """A source text or a canonical document, addressed by the SHA-256 (hex) of its UTF-8 bytes.

    Versions that hold the same text share one row, so a version made by propagation costs its
    effective document only. A :class:`Redaction` alone changes one, and leaves its digest.
    """

    change_recorded_in = "configs_redaction"
    change_allowed = (
        "NEW.digest = OLD.digest AND EXISTS (SELECT 1 FROM configs_redaction"
        " WHERE text_id = OLD.digest AND content = NEW.content)"
    )

    digest = models.CharField(primary_key=True, max_length=64)
    content = models.TextField()

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.digest[:12]


class Redaction(AppendOnlyModel):
    """What a text was replaced by, because a value that it held must not be kept.

    The text's row keeps the digest of what was there, so the ledger still verifies.
    """

    text = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="redactions")
    content = models.TextField()
    author = models.CharField(max_length=300)
    revision = models.BigIntegerField()
    redacted_at = models.DateTimeField()

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.text} at {self.revision}"


class Template(models.Model):
    """A base document that sources extend by name. What it says is in its versions."""

    slug = models.CharField(max_length=128)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords()

    objects = NamedQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(Lower("slug"), name="template_slug_once")]

    def __str__(self) -> str:
        return self.slug


class TemplateVersion(AppendOnlyModel):
    """One published state of a template: a canonical document, by whom, when and why.

    ``parameters`` (the JSON Schema of what it takes) and ``extends`` are canonical JSON.
    """

    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")
    parameters = models.TextField(default="{}")
    extends = models.TextField(default="[]")
    author = models.CharField(max_length=300)
    message = models.TextField(blank=True, default="")
    revision = models.BigIntegerField()
    published_at = models.DateTimeField()

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["template", "number"], name="template_version_number_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.template}@{self.number}"


class Section(models.Model):
    """A top-level key of a service's configuration with a declared type and a JSON Schema.

    ``schema`` is canonical JSON text; the type's built-in schema holds beside it.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="sections")
    key = models.CharField(max_length=256)
    type = models.CharField(max_length=32)
    schema = models.TextField(default="{}")
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    history = HistoricalRecords()

    class Meta:
        ordering = ["key"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["service", "key"], name="section_key_once_per_service")
        ]

    def __str__(self) -> str:
        return f"{self.service}:{self.key}"


class Rule(models.Model):
    """What documents must keep: a condition in CEL, or a key that must have a value.

    It holds for the service, the environment, or both, where they are given, else everywhere.
    Either ``expression`` is given or ``key`` with ``equals`` (canonical JSON); ``tests`` is canonical
    JSON as the contract writes it.
    """

    SEVERITIES = (("error", "Error"), ("warning", "Warning"))

    name = models.CharField(max_length=128)
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.PROTECT, related_name="rules"
    )
    environment = models.ForeignKey(
        Environment, null=True, blank=True, on_delete=models.PROTECT, related_name="rules"
    )
    severity = models.CharField(max_length=8, choices=SEVERITIES, default="error")
    expression = models.TextField(blank=True, default="")
    key = models.TextField(blank=True, default="")
    equals = models.TextField(blank=True, default="")
    message = models.TextField(blank=True, default="")
    description = models.TextField(blank=True, default="")
    tests = models.TextField(default="[]")
    created_at = models.DateTimeField()
    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(Lower("name"), name="rule_name_once")]

    def __str__(self) -> str:
        return self.name


class Version(AppendOnlyModel):
    """One published state of a configuration. It says what was written and what came of it.

    ``source`` is the author's text, ``effective`` the composed canonical document, ``lock``
    (canonical JSON) the versions of every layer that went in, ``extends``, ``keys`` and
    ``secrets`` (where secrets stand in the effective document) and ``uses`` (which of its keys come
    from which keys elsewhere) canonical JSON. ``promotes`` (canonical JSON) names the environment and
    the version that was brought here, ``drafted_by`` who wrote it where somebody else published it.
    ``retired`` marks a version without content. ``id``
    is random: it names the version in ETags and caches and says nothing about the document.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    configuration = models.ForeignKey(
        Configuration, on_delete=models.PROTECT, related_name="versions"
    )
    number = models.PositiveIntegerField()
    source = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")
    format = models.CharField(max_length=16)
    extends = models.TextField(default="[]")
    effective = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")
    lock = models.TextField(default="[]")
    keys = models.TextField(default="[]")
    secrets = models.TextField(default="[]")
    uses = models.TextField(default="[]")
    cause = models.CharField(max_length=16)
    author = models.CharField(max_length=300)
    message = models.TextField(blank=True, default="")
    revision = models.BigIntegerField()
    published_at = models.DateTimeField()
    restores = models.PositiveIntegerField(null=True)
    promotes = models.TextField(blank=True, default="")
    drafted_by = models.CharField(max_length=300, blank=True, default="")
    retired = models.BooleanField(default=False)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["configuration", "-number"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["configuration", "number"], name="version_number_once")
        ]
        indexes = [
            models.Index(fields=["configuration", "published_at"], name="version_by_time"),
            models.Index(fields=["revision"], name="version_by_revision"),
        ]

    def __str__(self) -> str:
        return f"{self.configuration} v{self.number}"

    @property
    def checksum(self) -> str:
        """``sha256:…`` of the whole effective document."""
        return f"sha256:{self.effective_id}"


class Live(models.Model):
    """The pointer: which version of a configuration is served.

    ``pinned``: a rollback that composing afresh would not give; only a publish or a refresh
    moves it. ``outdated``: a layer below has moved since. ``templates`` are those of the live
    version, so that a template knows its users.
    """

    configuration = models.OneToOneField(
        Configuration, primary_key=True, on_delete=models.PROTECT, related_name="live"
    )
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+")
    pinned = models.BooleanField(default=False)
    outdated = models.BooleanField(default=False)
    templates = models.ManyToManyField(Template, related_name="live", blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.version)


class Overlay(models.Model):
    """A merge patch (RFC 7396) over what a configuration is composed to, for some of its readers.

    While it is ``laid``, every version is made with it too, and must be valid so. ``label`` is what
    problems call it. Its patch never changes, and it is kept: an act on an experiment names it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    configuration = models.ForeignKey(
        Configuration, on_delete=models.PROTECT, related_name="overlays"
    )
    label = models.CharField(max_length=300)
    patch = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")
    laid = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.label


class OverlaidDocument(AppendOnlyModel):
    """What a version is with an overlay laid over it: document and secrets, as a version has them.

    A version without a row for an overlay is served as it is.
    """

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="overlaid")
    overlay = models.ForeignKey(Overlay, on_delete=models.PROTECT, related_name="documents")
    effective = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")
    secrets = models.TextField(default="[]")

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["version", "overlay"], name="overlaid_document_once")
        ]

    def __str__(self) -> str:
        return f"{self.version} with {self.overlay}"


class Change(models.Model):
    """A draft on the way to a version: one per author and configuration, kept on the server.

    ``handed_at``: since when those who may publish there see it. ``answer``: what one of them said
    when he sent it back.
    """

    configuration = models.ForeignKey(
        Configuration, on_delete=models.PROTECT, related_name="changes"
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="changes"
    )
    content = models.TextField(blank=True, default="")
    format = models.CharField(max_length=16, default="yaml")
    extends = models.TextField(default="[]")
    base_version = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True, default="")
    page = models.CharField(max_length=64, blank=True, default="")
    updated_at = models.DateTimeField()
    handed_at = models.DateTimeField(null=True)
    answer = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-updated_at"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["configuration", "author"], name="change_one_per_author"
            )
        ]

    def __str__(self) -> str:
        return f"{self.author}'s draft of {self.configuration}"

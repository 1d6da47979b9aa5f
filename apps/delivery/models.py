"""One-time tickets for browsers, which cannot send a header with a stream; who has read what."""

from django.conf import settings
from django.db import models

from apps.access.models import Token
from apps.registry.models import Configuration


class StreamTicket(models.Model):
    """Lets its holder open one stream as the user who asked for it, within thirty seconds, while the
    token or the session that he asked by lasts.

    Kept as a digest; the row is deleted by the one use, so a second finds nothing.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    token = models.ForeignKey(Token, null=True, on_delete=models.CASCADE, related_name="+")
    session = models.CharField(max_length=40, blank=True, default="")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.digest[:12]


class HotQuestion(models.Model):
    """What is asked often, and by which token: ``asked`` is a question as
    :func:`apps.delivery.questions.write_down` has it, ``count`` how often it was in the last while.
    """

    token = models.ForeignKey(Token, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    asked = models.TextField()
    count = models.PositiveBigIntegerField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["token", "digest"], name="hot_question_once")
        ]

    def __str__(self) -> str:
        return self.asked


class ReadCount(models.Model):
    """How often an account was given a version, or some keys of it: counted, not logged.

    ``asked`` is the keys that were asked for, as patterns separated by spaces; empty: the whole.
    """

    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, related_name="+")
    account = models.CharField(max_length=300)
    version = models.PositiveIntegerField()
    asked = models.CharField(max_length=500, blank=True, default="")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-last_at"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["configuration", "account", "version", "asked"], name="read_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account} read {self.configuration} v{self.version}"

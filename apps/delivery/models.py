"""One-time tickets for browsers, which cannot send a header with a stream."""

from django.conf import settings
from django.db import models

from apps.access.models import Token


class StreamTicket(models.Model):
    """Lets its holder open one stream as the user who asked for it, within thirty seconds.

    Kept as a digest; the row is deleted by the one use, so a second finds nothing.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    token = models.ForeignKey(Token, null=True, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.digest[:12]

"""What became of drills: a backup counts when one has restored it."""

from django.db import models


class Drill(models.Model):
    """One archive was restored into a database of its own and compared, or could not be.

    ``revision`` is the one that came to be; ``problem`` is empty when all was well.
    """

    archive = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    revision = models.BigIntegerField(null=True, blank=True)
    problem = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-started_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.archive} at {self.started_at}"

"""Running consumers, as far as they tell."""

from django.db import models

from apps.access.models import ServiceAccount
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

"""The ledger's head remembers in which database its epoch was begun."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_longer_targets")]

    operations = [
        migrations.AddField(
            model_name="head",
            name="identity",
            field=models.CharField(blank=True, default="", max_length=200),
        ),
    ]

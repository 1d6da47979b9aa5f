"""A stream ticket ends with the session that asked for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0002_read_counts")]

    operations = [
        migrations.AddField(
            model_name="streamticket",
            name="session",
            field=models.CharField(blank=True, default="", max_length=40),
        ),
    ]

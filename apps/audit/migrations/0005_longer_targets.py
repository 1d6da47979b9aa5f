"""Three of the longest names fit into a target; SQLite makes the table anew, and so its triggers."""

from django.db import migrations, models

from apps.core.appendonly import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_sinks_and_refused_reads")]

    operations = [
        migrations.AlterField(
            model_name="auditevent", name="target", field=models.CharField(max_length=400)
        ),
        AppendOnly("AuditEvent"),
    ]

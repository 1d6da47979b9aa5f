"""How far each sink of the ledger is, and counters of refused reads."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_checkpoints")]

    operations = [
        migrations.CreateModel(
            name="SinkCursor",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
                ("delivered_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                ("last_error", models.TextField(blank=True, default="")),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="RefusedRead",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor", models.CharField(max_length=300)),
                ("target", models.CharField(max_length=300)),
                ("day", models.DateField(db_index=True)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("count", models.PositiveBigIntegerField(default=0)),
            ],
            options={"ordering": ["-last_at"], "default_permissions": ()},
        ),
        migrations.AddConstraint(
            model_name="refusedread",
            constraint=models.UniqueConstraint(
                fields=("actor", "target", "day"), name="refused_read_once"
            ),
        ),
    ]

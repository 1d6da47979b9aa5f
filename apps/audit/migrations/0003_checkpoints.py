"""Signed checkpoints, the public keys that they verify by, and the results of verifications."""

from django.db import migrations, models

from apps.core.appendonly import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only_and_head")]

    operations = [
        migrations.CreateModel(
            name="PublicKey",
            fields=[
                ("key_id", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("public", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField()),
            ],
            options={"ordering": ["created_at"], "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.BigIntegerField(db_index=True)),
                ("at", models.DateTimeField()),
                ("line", models.TextField()),
            ],
            options={"ordering": ["-id"], "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("actor", models.CharField(max_length=300)),
                ("ok", models.BooleanField()),
                ("revision", models.BigIntegerField()),
                ("events", models.BigIntegerField()),
                ("checkpoints", models.IntegerField()),
                ("outcome", models.TextField()),
            ],
            options={"ordering": ["-id"], "default_permissions": ()},
        ),
        AppendOnly("PublicKey"),
        AppendOnly("Checkpoint"),
        AppendOnly("Verification"),
    ]

"""Runs: what became of work on archives."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Run",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("create", "make a backup"),
                            ("verify", "verify a backup"),
                            ("drill", "restore a backup on trial"),
                            ("prune", "delete old backups"),
                        ],
                        max_length=16,
                    ),
                ),
                ("archive", models.CharField(blank=True, default="", max_length=200)),
                ("author", models.CharField(max_length=200)),
                ("asked_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("step", models.CharField(blank=True, default="", max_length=200)),
                ("done", models.BigIntegerField(default=0)),
                ("total", models.BigIntegerField(default=0)),
                ("revision", models.BigIntegerField(blank=True, null=True)),
                ("size", models.BigIntegerField(blank=True, null=True)),
                ("problem", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ["-asked_at"],
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["-asked_at"], name="run_asked"),
                    models.Index(fields=["archive"], name="run_archive"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("kind", "archive"),
                        name="run_open_once",
                    )
                ],
            },
        ),
    ]

"""Texts, versions and template versions never change."""

from django.db import migrations

from apps.core.appendonly import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("configs", "0001_initial")]

    operations = [AppendOnly("Text"), AppendOnly("TemplateVersion"), AppendOnly("Version")]

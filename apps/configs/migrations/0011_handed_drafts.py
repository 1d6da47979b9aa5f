from django.db import migrations, models

from apps.core.appendonly import AppendOnly


class Migration(migrations.Migration):

    dependencies = [
        ('configs', '0010_overlays'),
    ]

    operations = [
        migrations.AddField(
            model_name='change',
            name='handed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='change',
            name='answer',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='version',
            name='drafted_by',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        AppendOnly("Version"),  # SQLite makes the table anew
    ]

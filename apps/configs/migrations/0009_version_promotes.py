from django.db import migrations, models

from apps.core.appendonly import AppendOnly


class Migration(migrations.Migration):

    dependencies = [
        ('configs', '0008_rules'),
    ]

    operations = [
        migrations.AddField(
            model_name='version',
            name='promotes',
            field=models.TextField(blank=True, default=''),
        ),
        AppendOnly("Version"),  # SQLite makes the table anew
    ]

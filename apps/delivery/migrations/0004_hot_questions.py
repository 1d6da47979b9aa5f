"""What is asked often, so that a start can be warm."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0012_held_rights'),
        ('delivery', '0003_ticket_session'),
    ]

    operations = [
        migrations.CreateModel(
            name='HotQuestion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64)),
                ('asked', models.TextField()),
                ('count', models.PositiveBigIntegerField()),
                ('last_at', models.DateTimeField(db_index=True)),
                ('token', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='access.token')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('token', 'digest'), name='hot_question_once')],
            },
        ),
    ]

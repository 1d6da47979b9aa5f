from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0004_connections'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='user',
            options={'verbose_name': 'person', 'verbose_name_plural': 'people'},
        ),
    ]

"""After a restore rights may be held until somebody has confirmed them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0011_ends_of_sessions_move_the_generation")]

    operations = [
        migrations.AddField(
            model_name="accessgeneration",
            name="held_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]

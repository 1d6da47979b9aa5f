"""The keys that wrapped something before they were remembered."""

from django.db import migrations


def remember(apps, _schema_editor):
    known = apps.get_model("vault", "KnownKey")
    used = apps.get_model("vault", "WrappedKey").objects.values_list("key_id", flat=True)
    known.objects.bulk_create([known(key_id=each) for each in used.order_by().distinct()])


class Migration(migrations.Migration):

    dependencies = [("vault", "0003_known_keys")]

    operations = [migrations.RunPython(remember, migrations.RunPython.noop)]

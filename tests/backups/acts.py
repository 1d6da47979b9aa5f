"""Makes acts on the database of the environment: ``python -m tests.backups.acts``.

It says ``ready`` when it begins, and ends when its standard input does.

Several publish at once, each second act inside of a savepoint, as the admin's are, and with a
savepoint that is taken back before it; others commit all the time what is no act.
"""

import os
import sys
import threading

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "configsvc.settings")
WRITERS = 3
enough = threading.Event()


def main():
    django.setup()
    from django.db import connection

    from apps.access.policy import Place
    from apps.configs.services.places import create_service
    from apps.core.actor import system
    from apps.registry.models import Environment, Service

    actor = system("test")
    service = Service.objects.filter(slug="shop").first() or create_service(
        actor=actor, slug="shop"
    )
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS noise (at timestamptz)")
    places = [Place(service, each) for each in Environment.objects.all()]
    print("ready", flush=True)
    jobs = [lambda at=place: _publish(actor, at) for place in places[:WRITERS]]
    jobs += [_make_noise] * 2
    threads = [threading.Thread(target=_run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    enough.set()
    for thread in threads:
        thread.join()


def _run(job):
    from django.db import connection

    try:
        job()
    finally:
        connection.close()


def _publish(actor, place):
    from django.db import transaction

    from apps.configs.services.bases import Options
    from apps.configs.services.publishing import publish
    from apps.configs.sources import from_tree
    from apps.core.transactions import undone

    number = 0
    while not enough.is_set():
        number += 1
        source = from_tree({"n": number})
        options = Options(on_stale="overwrite")
        if number % 2:
            publish(actor=actor, place=place, source=source, options=options)
            continue
        with transaction.atomic():
            with undone():
                publish(actor=actor, place=place, source=source, options=options)
            publish(actor=actor, place=place, source=source, options=options)


def _make_noise():
    """Commits of others, in the way of those of acts."""
    from django.db import connection

    with connection.cursor() as cursor:
        while not enough.is_set():
            cursor.execute("INSERT INTO noise VALUES (clock_timestamp())")


if __name__ == "__main__":
    main()

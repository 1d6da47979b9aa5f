"""Changes an installation on SQLite in ways that segments must know, and backs each of them up:
``python -m tests.backups.changing`` tells each change, and the kind and the name of the archive that
followed it.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "configsvc.settings")
LEAK = "hunter2-hunter2"
LATER = ("configs", "9999_of_a_newer_program")


class Changes:
    """Each method is one of them."""

    def __init__(self):
        from apps.access.policy import Place
        from apps.configs.services.places import create_service
        from apps.core.actor import system
        from apps.registry.selectors import get_environment

        self.actor = system("test")
        self.place = Place(
            create_service(actor=self.actor, slug="shop"), get_environment("production")
        )
        self.number = 0

    def begin(self):
        self._publish({"password": LEAK})

    def act(self):
        self.number += 1
        self._publish({"n": self.number})

    def change_rows(self):
        """Rows that go and rows that are changed, of tables that go whole."""
        from apps.access import services
        from apps.vault.services import create_secret, destroy_version, write_secret

        secret = create_secret(actor=self.actor, place=self.place, slug="key", value="one")
        write_secret(actor=self.actor, secret=secret, value="two")
        destroy_version(actor=self.actor, version=secret.versions.get(number=1))
        services.create_account(actor=self.actor, slug="robot")
        given = services.grant(actor=self.actor, to="service-account:robot", role="viewer")
        services.withdraw_grant(actor=self.actor, grant=given)

    def redact(self):
        from apps.configs.services.redacting import redact

        redact(actor=self.actor, place=self.place, number=1, key="password")

    def upgrade(self):
        self._recorder().record_applied(*LATER)
        self.act()

    def downgrade(self):
        self._recorder().record_unapplied(*LATER)
        self.act()

    def begin_an_epoch(self):
        from apps.audit.epochs import renew
        from apps.audit.services import Event, append
        from apps.core.transactions import writing

        with writing():
            renew()
            append([Event("installation.epoch_begun", "installation", {})], actor=self.actor)

    def lose_the_newest(self):
        from apps.backups.catalogue import read_catalogue, store

        store().delete(read_catalogue(store())[0].name)
        self.act()

    def _recorder(self):
        from django.db import connection
        from django.db.migrations.recorder import MigrationRecorder

        return MigrationRecorder(connection)

    def _publish(self, config):
        from apps.configs.services.bases import Options
        from apps.configs.services.publishing import publish
        from apps.configs.sources import from_tree

        options = Options(on_stale="overwrite")
        publish(actor=self.actor, place=self.place, source=from_tree(config), options=options)


ORDER = (
    "begin",
    "act",
    "redact",
    "act",
    "upgrade",
    "act",
    "downgrade",
    "begin_an_epoch",
    "act",
    "lose_the_newest",
    "act",
    "change_rows",
)


def main():
    django.setup()
    from apps.backups.services import create_backup

    changes = Changes()
    for name in ORDER:
        getattr(changes, name)()
        made = create_backup(actor=changes.actor, full=False)
        print(name, made.header.kind, made.name, flush=True)


if __name__ == "__main__":
    main()

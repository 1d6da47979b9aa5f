"""What there is to know of a place: from arguments, else from the environment, else Debian's."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

STANZA = "configsvc"
"""What pgBackRest calls one database server and its backups."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server, the backups and the configuration of them are."""

    folder: Path
    repository: Path
    data: Path
    socket: str
    port: int
    user: str
    database: str
    binaries: str

    @property
    def configuration(self) -> Path:
        """pgBackRest's configuration, which holds nothing that is secret."""
        return self.folder / "pgbackrest.conf"

    @property
    def secrets(self) -> Path:
        """The folder of the configuration's secret parts."""
        return self.folder / "conf.d"

    @property
    def passphrase(self) -> Path:
        """The part with the passphrase of the repository."""
        return self.secrets / "passphrase.conf"

    def options(self) -> list[str]:
        """What each call of pgBackRest gets."""
        return [
            f"--config={self.configuration}",
            f"--config-include-path={self.secrets}",
            f"--stanza={STANZA}",
        ]


OPTIONS = (
    ("folder", "BACKUP_FOLDER", "~/configsvc-backup", "configuration, passphrase, logs"),
    ("repository", "BACKUP_REPOSITORY", "/var/lib/pgbackrest", "backups; read by setup alone"),
    ("data", "PGDATA", "", "PostgreSQL's data folder"),
    ("socket", "PGHOST", "/var/run/postgresql", "the folder of its socket"),
    ("port", "PGPORT", "5432", "its port"),
    ("user", "PGUSER", "postgres", "a superuser of it"),
    ("database", "PGDATABASE", "configsvc", "the database of configsvc"),
    ("binaries", "PGBIN", "", "its programs; else /usr/lib/postgresql/VERSION/bin"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare an option for each setting."""
    for name, variable, default, meaning in OPTIONS:
        parser.add_argument(
            f"--{name}",
            default=os.environ.get(variable) or default,
            help=f"{meaning} (or {variable}; {default or 'no default'})",
        )


def read_settings(given: argparse.Namespace) -> Settings:
    """The settings that were given. Paths are absolute afterwards."""
    return Settings(
        folder=Path(given.folder).expanduser().absolute(),
        repository=Path(given.repository).absolute(),
        data=Path(given.data).absolute() if given.data else Path(),
        socket=given.socket,
        port=int(given.port),
        user=given.user,
        database=given.database,
        binaries=given.binaries,
    )

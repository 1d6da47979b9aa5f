"""The only reader of the process environment.

Every variable is a field of :class:`Env` with its default; the README's table lists the same
ones, held equal by a test. No secret has a default: keys come from the environment or from
files of mode 0600 in the data folder, made by :func:`create_keys` when settings load.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from apps.engine.strength import HOW_TO_MAKE_ONE, is_weak

IPNetwork = IPv4Network | IPv6Network

SQLITE_FILE = "configsvc.sqlite3"
KEY_BYTES = 48
VARIABLE_PREFIX = "CONFIGSVC_"
MOST_DIGITS = 12
BARE_VARIABLES = ("database_url", "redis_url")


class UnsafeSettingError(Exception):
    """The server must not start so; the message names the setting and what to do."""


@dataclass(frozen=True, slots=True)
class Env:
    """What the environment says. Field ``data_dir`` is read from ``CONFIGSVC_DATA_DIR``."""

    data_dir: Path = Path("var")
    database_url: str = ""
    redis_url: str = ""
    secret_key: str = field(default="", repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    key_provider: str = ""
    encryption_key: tuple[str, ...] = field(default=(), repr=False)
    signature_key: str = field(default="", repr=False)
    transit_url: str = ""
    transit_token: str = field(default="", repr=False)
    transit_key: str = "configsvc"
    transit_mount: str = "transit"
    checkpoint_file: str = ""
    checkpoint_minutes: int = 1_440
    checkpoint_webhook: str = ""
    audit_file: str = ""
    audit_file_required: bool = False
    audit_syslog: str = ""
    audit_syslog_required: bool = False
    audit_syslog_ca: str = ""
    debug: bool = False
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    trusted_origins: tuple[str, ...] = ()
    flag_origins: tuple[str, ...] = ()
    behind_tls: bool = False
    proxy_addresses: tuple[str, ...] = ("127.0.0.1", "::1")
    path_prefix: str = ""
    require_mfa: str = "off"
    session_idle_minutes: int = 120
    session_hours: int = 24
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_title: str = "single sign-on"
    oidc_scopes: tuple[str, ...] = ("openid", "profile", "email")
    oidc_username_claim: str = "preferred_username"
    oidc_groups_claim: str = "groups"
    oidc_groups: tuple[str, ...] = ()
    max_body_bytes: int = 1_048_576
    max_import_bytes: int = 16_777_216
    page_size: int = 50
    memory_bytes: int = 268_435_456
    log_level: str = "INFO"
    jobs_in_server: bool = True
    job_lease_seconds: int = 60
    private_targets: tuple[str, ...] = ()
    backup_folder: str = ""
    backup_connection: str = ""
    backup_access_key: str = ""
    backup_secret_key: str = field(default="", repr=False)
    backup_authorities: str = ""
    backup_keep: str = "24h 7d 5w 12m"
    backups_scheduled: bool = True

    @classmethod
    def read(cls) -> "Env":
        """Read ``os.environ``. Raises :class:`UnsafeSettingError` on a value of the wrong kind."""
        given: dict[str, Any] = {}
        for each in fields(cls):
            name = variable_name(each.name)
            if name in os.environ:
                given[each.name] = _convert(name, os.environ[name], each.default)
        return cls(**given)

    def group_mapping(self) -> dict[str, str]:
        """The groups of ours that the provider's stand for. Raises :class:`UnsafeSettingError`."""
        pairs = [each.partition("=") for each in self.oidc_groups]
        if any(not (claimed.strip() and group.strip()) for claimed, _equals, group in pairs):
            raise UnsafeSettingError("CONFIGSVC_OIDC_GROUPS is THEIRS=OURS, separated by commas.")
        return {claimed.strip(): group.strip() for claimed, _equals, group in pairs}

    def private_networks(self) -> list[IPNetwork]:
        """The networks that Connections may reach. Raises :class:`UnsafeSettingError`."""
        try:
            return [ip_network(each) for each in self.private_targets]
        except ValueError as error:
            raise UnsafeSettingError(
                "CONFIGSVC_PRIVATE_TARGETS is networks such as 10.0.0.0/8, separated by commas."
            ) from error

    def signing_key(self) -> str:
        """The key for sessions, from the environment or the data folder."""
        return self.secret_key or read_key(self.data_dir / "keys" / "signing.key")

    def signature_key_text(self) -> str:
        """What the Ed25519 key of checkpoints and answers is derived from, likewise."""
        return self.signature_key or read_key(self.data_dir / "keys" / "signature.key")


def variable_name(field_name: str) -> str:
    """The environment variable of a field of :class:`Env`."""
    upper = field_name.upper()
    return upper if field_name in BARE_VARIABLES else VARIABLE_PREFIX + upper


def _convert(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        if text.lower() not in ("0", "1", "true", "false"):
            raise UnsafeSettingError(f"{name} must be true or false.")
        return text.lower() in ("1", "true")
    if isinstance(default, int):
        if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
            raise UnsafeSettingError(
                f"{name} must be a whole number of at most {MOST_DIGITS} digits."
            )
        return int(text)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return Path(text) if isinstance(default, Path) else text


def read_key(path: Path) -> str:
    """The key in a file of mode 0600. Raises :class:`UnsafeSettingError` naming what is wrong."""
    check_closed(path)
    try:
        key = path.read_text().strip()
    except FileNotFoundError:
        raise UnsafeSettingError(
            f"There is no key file {path.name} in the data folder. "
            "Restore it from your backup, or set the variable for it."
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    check_key(f"The key file {path.name}", key)
    return key


def check_closed(path: Path) -> None:
    """Refuse a key file that others may read. Raises :class:`UnsafeSettingError`."""
    try:
        is_open = path.is_file() and path.stat().st_mode & 0o077
    except OSError as error:
        raise _unreadable(path, error) from error
    if is_open:
        raise UnsafeSettingError(
            f"The key file {path.name} is readable by others: `chmod 600 {path}`."
        )


def _unreadable(path: Path, error: OSError | ValueError) -> UnsafeSettingError:
    why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
    return UnsafeSettingError(
        f"The key file {path} cannot be read: {why}. Mend it, or restore it from your backup."
    )


def check_key(name: str, key: str) -> None:
    """Refuse a weak key. Raises :class:`UnsafeSettingError`."""
    if is_weak(key):
        raise UnsafeSettingError(f"{name} is weak: {HOW_TO_MAKE_ONE}")


def create_keys(env: Env) -> None:
    """Make the data folder and the keys that are neither there nor in the environment.

    The key of secrets is made with its folder alone: one that is gone later is missed, and the
    server starts sealed, where a new one would open nothing. Raises :class:`UnsafeSettingError`
    where the folder cannot be written.
    """
    try:
        (env.data_dir / "static").mkdir(parents=True, exist_ok=True)
        with _alone_in(env.data_dir):
            _create_missing_keys(env)
        if not env.database_url:
            _close_to_others(env.data_dir / SQLITE_FILE)
    except OSError as error:
        raise UnsafeSettingError(
            f"CONFIGSVC_DATA_DIR (--data) is {env.data_dir}, which cannot be written: "
            f"{error.strerror}. Name a folder that can."
        ) from error


def _create_missing_keys(env: Env) -> None:
    folder = env.data_dir / "keys"
    given = {"signing.key": bool(env.secret_key), "signature.key": bool(env.signature_key)}
    if not folder.exists():
        given["encryption.key"] = bool(env.encryption_key or env.transit_url)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    for name, from_environment in given.items():
        path = folder / name
        if from_environment or path.exists():
            continue
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait for other processes that begin in this folder, where its file system can lock one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _close_to_others(database: Path) -> None:
    """Sessions and documents are in the file: as its keys, it is for its owner alone.

    SQLite gives the files beside it the same mode.
    """
    database.touch(mode=0o600)
    if database.stat().st_mode & 0o077:
        database.chmod(0o600)

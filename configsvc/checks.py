"""What no process starts with, as far as the environment tells; each refusal names the setting and says
what to do. What the database tells is in ``apps.core.safety``.
"""

import logging
import ssl
from urllib.parse import SplitResult, urlsplit

from apps.engine.errors import InvalidError
from apps.engine.retention import Retention
from configsvc.database_urls import read_database_url
from configsvc.env import (
    Env,
    UnsafeSettingError,
    check_closed,
    check_key,
    read_key,
    variable_name,
)
from configsvc.redis_urls import read_redis_url

LARGEST_PAGE = 200
KEY_PROVIDERS = ("transit", "environment", "file")
MFA_RULES = ("off", "privileged", "all")
LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
SYSLOG_SCHEMES = ("udp", "tcp", "tls", "unix")
POSTGRES_SCHEMES = ("postgres", "postgresql", "pgsql")


def check(env: Env) -> None:
    """Refuse all of that, before anything is made. Raises :class:`UnsafeSettingError`."""
    check_given_keys(env)
    check_key_files(env)
    check_key_provider(env)
    check_debug(env)
    check_database(env)
    if env.redis_url:
        read_redis_url(env.redis_url)
    check_login(env)
    check_sinks(env)
    check_retention(env)
    check_page_size(env)
    check_log_level(env)
    env.private_networks()


def check_given_keys(env: Env) -> None:
    """Refuse weak keys in the environment. Raises :class:`UnsafeSettingError`."""
    given = {
        "CONFIGSVC_SECRET_KEY": [env.secret_key],
        "CONFIGSVC_SECRET_KEY_FALLBACKS": env.secret_key_fallbacks,
        "CONFIGSVC_SIGNATURE_KEY": [env.signature_key],
    }
    for name, keys in given.items():
        for key in filter(None, keys):
            check_key(name, key)


def check_key_files(env: Env) -> None:
    """Refuse key files that are open to others, and those of which nothing good can be read, as far
    as they are there. Raises :class:`UnsafeSettingError`.
    """
    folder = env.data_dir / "keys"
    check_closed(folder / "encryption.key")
    for name, given in (("signing.key", env.secret_key), ("signature.key", env.signature_key)):
        check_closed(folder / name)
        if not given and (folder / name).exists():
            read_key(folder / name)


def check_key_provider(env: Env) -> str:
    """What wraps the keys of secrets: what is named, else the first that is set up.

    Raises :class:`UnsafeSettingError` for another, and for one that is not set up.
    """
    set_up = {"transit": bool(env.transit_url), "environment": bool(env.encryption_key)}
    known = [name for name in KEY_PROVIDERS if set_up.get(name, True)]
    chosen = env.key_provider or known[0]
    if chosen not in KEY_PROVIDERS:
        raise UnsafeSettingError(f"CONFIGSVC_KEY_PROVIDER is one of {', '.join(KEY_PROVIDERS)}.")
    if chosen not in known:
        needs = "CONFIGSVC_TRANSIT_URL" if chosen == "transit" else "CONFIGSVC_ENCRYPTION_KEY"
        raise UnsafeSettingError(f"CONFIGSVC_KEY_PROVIDER is {chosen}, which needs {needs}.")
    for key in env.encryption_key:
        check_key("CONFIGSVC_ENCRYPTION_KEY", key)
    return chosen


def check_debug(env: Env) -> None:
    """Refuse Django's debug pages where others see them. Raises :class:`UnsafeSettingError`."""
    public = [host for host in env.allowed_hosts if host not in LOOPBACK]
    if env.debug and public:
        raise UnsafeSettingError(
            f"CONFIGSVC_DEBUG is on with the public host {public[0]}: turn it off, or serve "
            "loopback only."
        )


def check_database(env: Env) -> None:
    """Refuse another database than PostgreSQL, and what libpq does not understand. Raises :class:`UnsafeSettingError`."""
    scheme = env.database_url.partition("://")[0]
    if env.database_url and scheme not in POSTGRES_SCHEMES:
        raise UnsafeSettingError(
            "DATABASE_URL must be postgres://USER@HOST/NAME. Without it SQLite is used, in "
            "CONFIGSVC_DATA_DIR."
        )
    if env.database_url:
        read_database_url(env.database_url)


def check_page_size(env: Env) -> None:
    """Refuse a page of no rows or of too many. Raises :class:`UnsafeSettingError`."""
    if not 1 <= env.page_size <= LARGEST_PAGE:
        raise UnsafeSettingError(f"CONFIGSVC_PAGE_SIZE must be 1 to {LARGEST_PAGE}.")


def check_login(env: Env) -> None:
    """Refuse log-in settings that would not hold. Raises :class:`UnsafeSettingError`."""
    if env.require_mfa not in MFA_RULES:
        raise UnsafeSettingError(f"CONFIGSVC_REQUIRE_MFA must be one of {', '.join(MFA_RULES)}.")
    for name in ("session_idle_minutes", "session_hours"):
        if getattr(env, name) < 1:
            raise UnsafeSettingError(f"{variable_name(name)} must be at least 1.")
    if not env.oidc_issuer:
        return
    issuer = _split("CONFIGSVC_OIDC_ISSUER", env.oidc_issuer)
    if issuer.scheme != "https" and not (issuer.scheme == "http" and issuer.hostname in LOOPBACK):
        raise UnsafeSettingError("CONFIGSVC_OIDC_ISSUER must begin with https://.")
    if not env.oidc_client_id:
        raise UnsafeSettingError(
            "CONFIGSVC_OIDC_ISSUER is set, so CONFIGSVC_OIDC_CLIENT_ID must be."
        )
    if "openid" not in env.oidc_scopes:
        raise UnsafeSettingError("CONFIGSVC_OIDC_SCOPES must hold openid.")
    env.group_mapping()


def check_sinks(env: Env) -> None:
    """Refuse sinks of the ledger that could not hold. Raises :class:`UnsafeSettingError`."""
    if env.checkpoint_minutes < 1:
        raise UnsafeSettingError("CONFIGSVC_CHECKPOINT_MINUTES must be at least 1.")
    if env.audit_file_required and not env.audit_file:
        raise UnsafeSettingError("CONFIGSVC_AUDIT_FILE_REQUIRED needs CONFIGSVC_AUDIT_FILE.")
    if env.audit_syslog:
        check_syslog(env)
    elif env.audit_syslog_required:
        raise UnsafeSettingError("CONFIGSVC_AUDIT_SYSLOG_REQUIRED needs CONFIGSVC_AUDIT_SYSLOG.")


def check_syslog(env: Env) -> None:
    """Refuse a place that is none, and what it cannot promise. Raises :class:`UnsafeSettingError`."""
    place = _split("CONFIGSVC_AUDIT_SYSLOG", env.audit_syslog)
    try:
        port = place.port
    except ValueError:
        port = -1
    whole = place.path if place.scheme == "unix" else place.hostname
    if place.scheme not in SYSLOG_SCHEMES or not whole or port == -1:
        raise UnsafeSettingError(
            "CONFIGSVC_AUDIT_SYSLOG is udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or "
            "unix:///PATH."
        )
    if env.audit_syslog_required and place.scheme == "udp":
        raise UnsafeSettingError(
            "CONFIGSVC_AUDIT_SYSLOG_REQUIRED needs tcp, tls or unix: nobody answers a UDP message."
        )
    if env.audit_syslog_ca:
        check_certificates("CONFIGSVC_AUDIT_SYSLOG_CA", env.audit_syslog_ca)


def check_certificates(name: str, path: str) -> None:
    """Refuse a file that holds no certificates to trust. Raises :class:`UnsafeSettingError`."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        said = (
            "it is no PEM file of certificates"
            if isinstance(error, ssl.SSLError)
            else error.strerror
        )
        raise UnsafeSettingError(f"{name} ({path}) cannot be used: {said}.") from error


def check_retention(env: Env) -> None:
    """Refuse a rule of which backups to keep that says nothing. Raises :class:`UnsafeSettingError`."""
    try:
        Retention.parse(env.backup_keep)
    except InvalidError as error:
        raise UnsafeSettingError(f"CONFIGSVC_BACKUP_KEEP ({env.backup_keep}): {error}") from error


def check_log_level(env: Env) -> None:
    """Refuse a level that there is not. Raises :class:`UnsafeSettingError`."""
    known = logging.getLevelNamesMapping()
    if env.log_level not in known:
        raise UnsafeSettingError(f"CONFIGSVC_LOG_LEVEL must be one of {', '.join(known)}.")


def _split(name: str, url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UnsafeSettingError(f"{name} is no URL: {error}.") from error

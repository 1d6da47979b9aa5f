"""Django's settings. Whatever varies between installations comes from ``configsvc.env``."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy

from configsvc.checks import LARGEST_PAGE, check, check_key_provider
from configsvc.database_urls import read_database_url
from configsvc.env import SQLITE_FILE, Env, create_keys
from configsvc.redis_urls import read_redis_url

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = Env.read()
DATA_DIR = ENV.data_dir

check(ENV)
create_keys(ENV)
SECRET_KEY = ENV.signing_key()
SECRET_KEY_FALLBACKS = list(ENV.secret_key_fallbacks)
AUDIT_FILE = ENV.audit_file
AUDIT_FILE_REQUIRED = ENV.audit_file_required
AUDIT_SYSLOG = ENV.audit_syslog
AUDIT_SYSLOG_REQUIRED = ENV.audit_syslog_required
AUDIT_SYSLOG_CA = ENV.audit_syslog_ca

BACKUP_WORK = ENV.data_dir / "backups"
BACKUP_FOLDER = ENV.data_dir / (ENV.backup_folder or "backups")
BACKUP_ACCESS_KEY = ENV.backup_access_key
BACKUP_SECRET_KEY = ENV.backup_secret_key
BACKUP_AUTHORITIES = ENV.backup_authorities
BACKUP_CONNECTION = ENV.backup_connection
BACKUP_KEEP = ENV.backup_keep
BACKUPS_SCHEDULED = ENV.backups_scheduled
CHECKPOINT_FILE = ENV.data_dir / (ENV.checkpoint_file or "checkpoints.jsonl")
CHECKPOINT_MINUTES = ENV.checkpoint_minutes
CHECKPOINT_WEBHOOK = ENV.checkpoint_webhook
SIGNATURE_KEY = ENV.signature_key_text()

DEBUG = ENV.debug
ALLOWED_HOSTS = list(ENV.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENV.trusted_origins)
FLAG_ORIGINS = frozenset(ENV.flag_origins)
PATH_PREFIX = f"/{ENV.path_prefix.strip('/')}" if ENV.path_prefix.strip("/") else ""
FORCE_SCRIPT_NAME = PATH_PREFIX or None

INSTALLED_APPS = [
    "apps.portal.apps.PortalConfig",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "guardian",
    "simple_history",
    "channels",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "apps.core.apps.CoreConfig",
    "apps.audit.apps.AuditConfig",
    "apps.registry.apps.RegistryConfig",
    "apps.access.apps.AccessConfig",
    "apps.vault.apps.VaultConfig",
    "apps.configs.apps.ConfigsConfig",
    "apps.rollouts.apps.RolloutsConfig",
    "apps.delivery.apps.DeliveryConfig",
    "apps.backups.apps.BackupsConfig",
    "apps.api.apps.ApiConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.access.middleware.RefusalMiddleware",
    "apps.api.middleware.ContractMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.portal.login.middleware.LoginMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
]

ROOT_URLCONF = "configsvc.urls"
ASGI_APPLICATION = "configsvc.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "apps.portal.login.context.frame",
            ],
        },
    }
]

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL; PRAGMA cache_spill=OFF; "
    "PRAGMA secure_delete=ON; PRAGMA recursive_triggers=ON;",  # else REPLACE passes the append-only ones
}
VIEW_THREADS = 12
POSTGRES_OPTIONS: dict[str, Any] = {
    # who asks tries anew: after an outage nobody waits for an attempt that was put off for minutes
    "pool": {"min_size": 1, "max_size": VIEW_THREADS + 4, "timeout": 5, "reconnect_timeout": 1},
    # the server binds parameters and keeps the plans of what is asked often
    "server_side_binding": True,
    "prepare_threshold": 5,
    # a host that is gone without a word: the kernel would wait for it for a quarter of an hour
    "connect_timeout": 3,  # of each host; below what is waited for the pool, that the next one has its turn
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": ENV.data_dir / SQLITE_FILE,
    "OPTIONS": SQLITE_OPTIONS,
}
POSTGRES = read_database_url(ENV.database_url) if ENV.database_url else {"OPTIONS": {}}
if ENV.database_url:  # psycopg is not loaded where there is SQLite alone
    from apps.core.bounded import BoundedConnection

    POSTGRES_OPTIONS["pool"] |= {"connection_class": BoundedConnection}
DATABASE_OPTIONS = POSTGRES["OPTIONS"]
POSTGRES |= {
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {**POSTGRES_OPTIONS, **DATABASE_OPTIONS},
}
DATABASES = {"default": POSTGRES if ENV.database_url else SQLITE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEMORY_CACHE = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
MEMORY_LAYER = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
REDIS = read_redis_url(ENV.redis_url) if ENV.redis_url else None
CACHES = REDIS.caches if REDIS else {"default": MEMORY_CACHE}
CHANNEL_LAYERS = {"default": REDIS.layer if REDIS else MEMORY_LAYER}

AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # of earlier log-ins; renewed at the next
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# People and log-in: allauth's pages, our rules (apps/portal/login). Nobody registers himself and
# there is no mail; its own limits count in the cache, so ours in the database take their place.
ACCOUNT_ADAPTER = "apps.portal.login.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = False
ACCOUNT_FORMS = {
    "login": "apps.portal.login.forms.LoginForm",
    "change_password": "apps.portal.login.forms.ChangePasswordForm",
}
MFA_ADAPTER = "apps.portal.login.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RATE_LIMITS = False
MFA_TOTP_ISSUER = "configsvc"
MFA_TOTP_TOLERANCE = 1  # a step of 30 s either way: clocks drift (RFC 6238, 6)
# Without TLS it is served on loopback, where http is a secure context for browsers.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not ENV.behind_tls
MFA_FORMS = {
    "activate_totp": "apps.portal.login.forms.ActivateTotpForm",
    "authenticate": "apps.portal.login.forms.CodeForm",
    "reauthenticate": "apps.portal.login.forms.CodeAgainForm",
}
MFA_RECOVERY_CODES_SHOW_ONCE = True
REQUIRE_MFA = ENV.require_mfa
SESSION_IDLE_SECONDS = ENV.session_idle_minutes * 60
SESSION_COOKIE_AGE = ENV.session_hours * 3600
PROXY_ADDRESSES = list(ENV.proxy_addresses)
SINGLE_SIGN_ON: dict[str, Any] = {
    "issuer": ENV.oidc_issuer.rstrip("/"),
    "client_id": ENV.oidc_client_id,
    "client_secret": ENV.oidc_client_secret,
    "title": ENV.oidc_title,
    "scope": " ".join(ENV.oidc_scopes),
    "username_claim": ENV.oidc_username_claim,
    "groups_claim": ENV.oidc_groups_claim,
    "groups": ENV.group_mapping(),
}
GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None
SIMPLE_HISTORY_REVERT_DISABLED = True
SIMPLE_HISTORY_HISTORY_ID_USE_UUID = False

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = ENV.data_dir / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

SESSION_COOKIE_SECURE = ENV.behind_tls
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = ENV.behind_tls
SECURE_SSL_REDIRECT = False
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.behind_tls else None
SECURE_HSTS_SECONDS = 31_536_000 if ENV.behind_tls else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = ENV.behind_tls
SECURE_HSTS_PRELOAD = ENV.behind_tls
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# TLS ends at the proxy, so redirects and secure cookies follow CONFIGSVC_BEHIND_TLS.
# guardian's own backend is not hooked: access.policy is the only one that answers.
SILENCED_SYSTEM_CHECKS = [
    "security.W004",
    "security.W008",
    "security.W012",
    "security.W016",
    "guardian.W001",
]

# django-unfold evaluates Alpine expressions, so pages need 'unsafe-eval'; no inline scripts.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL, NONCE],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

# What opens the data keys of secrets: all that are set up. One of them wraps.
KEY_PROVIDER = {
    "wraps": check_key_provider(ENV),
    "transit_url": ENV.transit_url,
    "transit_token": ENV.transit_token,
    "transit_key": ENV.transit_key,
    "transit_mount": ENV.transit_mount,
    "keys": ENV.encryption_key,
    "file": str(ENV.data_dir / "keys" / "encryption.key"),
}

# Jobs run in threads of the server unless worker processes do them.
JOBS_IN_SERVER = ENV.jobs_in_server
JOB_LEASE = timedelta(seconds=max(1, ENV.job_lease_seconds))

# Networks beside the public ones that outgoing Connections may reach.
PRIVATE_TARGETS = ENV.private_networks()

# apps/core/bodies.py says which of them holds where; the ASGI layer asks it before it reads a body.
MAX_BODY_BYTES = ENV.max_body_bytes
MAX_IMPORT_BYTES = ENV.max_import_bytes
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # rights are confirmed on one page, a mark at each
DATA_UPLOAD_MAX_MEMORY_SIZE = max(MAX_BODY_BYTES, MAX_IMPORT_BYTES) + 65_536

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.api.authentication.BearerAuthentication",
        "apps.api.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.api.authentication.HasActor"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.api.rendering.AnyAccept",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "FORMAT_SUFFIX_KWARG": None,
}
PAGE_SIZE = ENV.page_size
MEMORY_BYTES = ENV.memory_bytes
MAX_PAGE_SIZE = LARGEST_PAGE

SPECTACULAR_SETTINGS = {
    "TITLE": "configsvc",
    "DESCRIPTION": "One source of truth for the configuration of distributed applications. "
    "The same as one graph: the [GraphQL console](graphql).",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["apps.api.authentication.HasActor"],
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["apps.api.openapi.only_once"],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": ENV.log_level},
    "loggers": {"django.request": {"level": "ERROR"}, "uvicorn.access": {"level": "WARNING"}},
}

UNFOLD = {
    "SITE_TITLE": "configsvc",
    "SITE_HEADER": "configsvc",
    "SITE_SYMBOL": "tune",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda _request: static("portal/icon.svg"),
        }
    ],
    "STYLES": [lambda _request: static("portal/portal.css")],
    "ACCOUNT": {
        "navigation": [
            {"title": "Password and second factor", "link": reverse_lazy("mfa_index")},
        ]
    },
    "SIDEBAR": {
        "show_search": False,
        "navigation": "apps.portal.navigation.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "oklch(97.7% .014 230)",
            "100": "oklch(95% .026 230)",
            "200": "oklch(90% .058 228)",
            "300": "oklch(82% .11 228)",
            "400": "oklch(74% .14 231)",
            "500": "oklch(65% .15 235)",
            "600": "oklch(55% .14 240)",
            "700": "oklch(48% .12 241)",
            "800": "oklch(42% .1 240)",
            "900": "oklch(37% .08 240)",
            "950": "oklch(28% .06 242)",
        },
    },
}

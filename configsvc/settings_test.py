"""Settings of the tests: the real ones, with fresh keys and quick password hashes."""

import os
import secrets
import tempfile

os.environ.setdefault("CONFIGSVC_SECRET_KEY", secrets.token_urlsafe(48))
os.environ.setdefault("CONFIGSVC_DATA_DIR", tempfile.mkdtemp(prefix="configsvc-test-"))

from configsvc.settings import *  # noqa: F403 - the real settings, after the variables

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_AUTOREFRESH = True  # looks a static file up when asked: each test client is a new start

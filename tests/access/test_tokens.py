"""Tokens: what they look like, what is kept of them, and when their last use is written."""

import hashlib
from datetime import timedelta

import pytest

pytestmark = pytest.mark.django_db


def test_token__made__is_256_bits_and_kept_as_a_hash_with_its_prefix(make_api):
    from base64 import urlsafe_b64decode

    raw = make_api("viewer").raw
    from apps.access.models import Token

    row = Token.objects.get()
    random = raw.removeprefix("csk_")
    assert raw.startswith("csk_")
    assert len(urlsafe_b64decode(random + "=" * (-len(random) % 4))) >= 32
    assert row.digest == hashlib.sha256(raw.encode()).hexdigest()
    assert raw.startswith(row.prefix)
    assert len(row.prefix) < 16
    assert raw not in str(Token.objects.values_list())


def test_token__used__its_last_use_is_written_at_most_once_a_minute(make_api, monkeypatch, shop):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from apps.access.models import Token
    from apps.core import clock

    api = make_api("viewer")
    began = clock.now()

    def use(seconds):
        monkeypatch.setattr(clock, "now", lambda: began + timedelta(seconds=seconds))
        with CaptureQueriesContext(
            connection,
        ) as done:
            assert api.get("/services").status_code == 200
        written = any(
            "last_used_at" in each["sql"] and each["sql"].startswith("UPDATE") for each in done
        )
        return written, (Token.objects.get().last_used_at - began).total_seconds()

    assert use(0) == (True, 0)
    assert use(1) == (False, 0)
    assert use(59) == (False, 0)
    assert use(61) == (True, 61)
    assert use(62) == (False, 61)

"""Connections to PostgreSQL as the settings make them."""

import os
import socket
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection

from configsvc.database_urls import read_database_url
from configsvc.env import UnsafeSettingError
from tests.real_services import free_port
from tests.serving import installation


@pytest.mark.postgresql
@pytest.mark.each_database
@pytest.mark.django_db
def test_postgres__gone_without_a_word__is_given_up_within_seconds():
    """What the kernel will do, as it says itself: no packet gets lost on this machine."""
    connection.ensure_connection()
    here = socket.socket(fileno=connection.connection.pgconn.socket)
    try:
        asked = {
            name: here.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        }
        keeps_alive = here.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    finally:
        here.detach()

    assert keeps_alive == 1
    assert asked["TCP_USER_TIMEOUT"] <= 10_000
    assert asked["TCP_KEEPIDLE"] + asked["TCP_KEEPINTVL"] * asked["TCP_KEEPCNT"] <= 15


def test_url__with_options_and_several_hosts__keeps_them_all():
    url = "postgres://u%40:p%2Fw@one:5432,[::1]:5433/shop?sslmode=verify-full&target_session_attrs=read-write"

    found = read_database_url(url)

    assert found == {
        "ENGINE": "django.db.backends.postgresql",
        "USER": "u@",
        "PASSWORD": "p/w",
        "HOST": "one,::1",
        "PORT": "5432,5433",
        "NAME": "shop",
        "OPTIONS": {"sslmode": "verify-full", "target_session_attrs": "read-write"},
    }
    assert read_database_url(url.replace("postgres:", "pgsql:")) == found


@pytest.mark.parametrize(
    "url",
    ["postgres://u:canary@h/x?pool=1", "postgres://u:canary@[h/x"],
)
def test_url__that_libpq_does_not_understand__is_refused_without_its_password(url):
    with pytest.raises(UnsafeSettingError) as refused:
        read_database_url(url)
    assert "canary" not in str(refused.value)


@pytest.mark.postgresql
@pytest.mark.servers
def test_server__whose_first_host_is_gone__goes_on_with_the_next():
    with installation() as made:
        parts = urlsplit(made.environment["DATABASE_URL"])
        user, _at, there = parts.netloc.rpartition("@")
        hosts = f"{user}@127.0.0.1:{free_port()},{there}"
        asked = parts._replace(
            netloc=hosts, query="target_session_attrs=read-write&application_name=by-url"
        )
        made.environment["DATABASE_URL"] = urlunsplit(asked)
        server = made.start()
        with server.client(made.raw) as api:
            assert api.post("/services", json={"slug": "shop"}).status_code == 201
            with psycopg.connect(os.environ["DATABASE_URL"]) as other:
                rows = other.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'by-url'"
                ).fetchall()
        assert rows
        assert "Every link holds" in made.manage("audit", "verify").stdout

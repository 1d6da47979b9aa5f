"""A node whose PostgreSQL is gone: it serves what it has given before, and is itself again after."""

import contextlib
import re
from typing import NamedTuple

import httpx
import pytest

from tests.serving import Installation, installation, until

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]

HERE = "/config/shop"
STALE = "x-config-stale"
WITHIN = 60


class Nodes(NamedTuple):
    """Two nodes of an installation, a client of each as an administrator, and a reader of the one."""

    made: Installation
    one: httpx.Client
    other: httpx.Client
    reader: httpx.Client


@pytest.fixture
def nodes():
    """They have published the configuration once."""
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(installation())
        servers = [made.start(), made.start()]
        one, other = (stack.enter_context(each.client(made.raw)) for each in servers)
        one.post("/services", json={"slug": "shop"}).raise_for_status()
        publish(one, 1)
        reader = stack.enter_context(servers[0].client(made.token("viewer", "app")))
        yield Nodes(made, one, other, reader)


def lose(made):
    """Refuse connections to the database, and end those that there are."""
    made._sql(f"ALTER DATABASE {made.database} ALLOW_CONNECTIONS false")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
    made._sql(f"{end}'{made.database}'")


def find(made):
    made._sql(f"ALTER DATABASE {made.database} ALLOW_CONNECTIONS true")


def publish(client, number):
    body = {"environment": "production", "config": {"n": number}, "on_stale": "overwrite"}
    answer = client.post(HERE, json=body)
    assert answer.status_code == 201, answer.text


def read(client):
    """The configuration, from a node that has seen all that others did: so it keeps its answer."""
    revision = client.get("/readyz").json()["revision"]
    assert client.get(HERE, params={"min_revision": revision}).status_code == 200
    return client.get(HERE)


def away_at(client):
    """What Prometheus would be told of the database by that node."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return re.search(r"(?m)^configsvc_database_away\{.*\} (\d)", answer.text)[1]


def test_node__whose_database_is_gone__serves_what_it_has_and_nothing_old_after(nodes):
    made, _one, other, reader = nodes
    before = read(reader)
    assert (before.status_code, STALE in before.headers) == (200, False)
    assert away_at(reader) == "0"
    revealed = reader.build_request("GET", HERE, params={"reveal": "true"})

    lose(made)
    until(lambda: STALE in reader.get(HERE).headers)

    for _again in range(20):
        answer = reader.get(HERE)
        assert (answer.status_code, answer.content) == (200, before.content)
        assert 0 < int(answer.headers[STALE]) < WITHIN
        assert answer.headers["etag"] == before.headers["etag"]
    assert other.get(HERE).status_code == 503  # which was never asked for it
    assert away_at(reader) == "1"
    assert other.get("/metrics").status_code == 503
    assert reader.send(revealed).status_code == 503
    assert reader.get("/readyz").status_code == 503
    assert reader.get("/healthz").status_code == 200

    find(made)
    until(lambda: all(each.get("/readyz").status_code == 200 for each in (other, reader)))
    publish(other, 2)

    after = read(reader)
    assert (after.json()["config"], STALE in after.headers) == ({"n": 2}, False)
    assert away_at(reader) == "0"


def test_token__withdrawn_at_another_node_right_after_the_outage__is_refused(nodes):
    made, one, other, reader = nodes
    assert read(reader).status_code == 200
    tokens = "/service-accounts/app/tokens"
    token = one.get(tokens).json()["results"][0]["id"]

    lose(made)
    until(lambda: STALE in reader.get(HERE).headers)
    find(made)
    until(lambda: other.get("/readyz").status_code == 200)
    assert other.delete(f"{tokens}/{token}").status_code in (200, 204)

    until(lambda: reader.get(HERE).status_code == 401)

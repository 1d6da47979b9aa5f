"""A PostgreSQL that is stopped with all its connections open: nobody waits for it without end."""

import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.real_services import postgres
from tests.serving import installation, until
from tests.standby import Processes

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]

HERE = "/config/shop"
STALE = "x-config-stale"
MANY = 40  # more than a node has threads for
WITHIN = 60
PORTAL, LOGGED_IN = "/admin/", {"cookie": f"sessionid={'x' * 32}"}
NEEDS_THE_DATABASE = [
    ("POST", HERE, {"json": {"environment": "production", "config": {"n": 2}}}),
    ("GET", f"{HERE}?reveal=true", {}),
    ("GET", f"{HERE}/history", {}),
    ("GET", f"{HERE}?after=0&wait=30", {}),
    ("GET", "/stream?service=shop", {}),
    ("POST", "/ofrep/v1/evaluate/flags", {"json": {"context": {"targetingKey": "u"}}}),
    ("POST", "/graphql", {"json": {"query": "{ services { slug } }"}}),
    ("GET", "/readyz", {}),
    ("GET", PORTAL, {"headers": LOGGED_IN}),
]


@pytest.fixture
def database(monkeypatch):
    with postgres() as url, tempfile.TemporaryDirectory() as shared:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("CONFIGSVC_TEST_SHARED", shared)
        processes = Processes(url)
        yield processes
        processes.signal(signal.SIGCONT)


@pytest.fixture
def made(database):
    with installation() as made:
        yield made
        database.signal(signal.SIGCONT)


def test_node__whose_database_hangs__refuses_at_once_what_needs_it(made, database):
    server = made.start()
    with server.client(made.raw, timeout=WITHIN) as client, ThreadPoolExecutor(MANY) as threads:
        client.post("/services", json={"slug": "shop"}).raise_for_status()
        body = {"environment": "production", "config": {"n": 1}, "on_stale": "overwrite"}
        assert client.post(HERE, json=body).status_code == 201
        before = client.get(HERE)

        database.signal(signal.SIGSTOP)
        caught = [threads.submit(client.get, f"{HERE}/history") for _each in range(MANY)]
        until(lambda: STALE in client.get(HERE).headers)

        for each in caught:
            check_refused(each.result())
        for method, address, options in NEEDS_THE_DATABASE:
            check_refused(client.request(method, address, **options))
        with connect(
            server.url.replace("http", "ws") + "/ws/config",
            additional_headers={"Authorization": f"Bearer {made.raw}"},
        ) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
            assert closed.value.rcvd.code == 1013
        page = client.get(PORTAL, headers={**LOGGED_IN, "accept": "text/html"})
        assert (page.status_code, "The database is away." in page.text) == (503, True)
        assert client.get("/healthz").status_code == 200
        again = client.get(HERE)
        assert (again.content, STALE in again.headers) == (before.content, True)

        database.signal(signal.SIGCONT)
        until(lambda: client.get("/readyz").status_code == 200)
        until(lambda: client.get(HERE).status_code == 200)
        assert client.post(HERE, json={**body, "config": {"n": 3}}).status_code == 201
        until(lambda: client.get(HERE).json()["config"] == {"n": 3})
        assert STALE not in client.get(HERE).headers


def check_refused(answer):
    assert answer.status_code == 503, (answer.request.url, answer.status_code, answer.text)
    assert answer.headers["retry-after"] == "1", answer.request.url
    assert answer.headers["content-type"].startswith("application/problem+json")

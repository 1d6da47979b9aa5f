"""The client, importable as it is installed, and a server that keeps the contract."""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.serving import TOP

sys.path.insert(0, str(TOP / "deploy" / "agent"))

from configsvc_agent.serving import LocalServer, parse_address
from configsvc_agent.upstream import Settings, Upstream
from configsvc_client import Config, Timing
from tests.agent.contract_server import ContractServer
from tests.agent.processes import Hook

TOKEN = "csl_local"
SHORT = Timing(
    fetch_timeout=20.0,
    ready_within=20.0,
    heartbeat=20.0,
    stable=0.2,
    first_pause=0.05,
    longest_pause=0.2,
    resync_jitter=0.05,
    poll_wait=2.0,
    poll_every=0.1,
    stream_failures=1000,
    stream_again=1.0,
    sections_every=0.4,
)
"""It waits for moments only, but for a server that is slow: a machine may stand still for a second."""
IMPATIENT = replace(SHORT, fetch_timeout=3.0, ready_within=0.5, heartbeat=0.7, stream_failures=3)
"""For tests in which the server does not answer."""


@pytest.fixture
def server():
    with ContractServer() as made:
        made.publish({"settings": {"timeout": 1}})
        yield made


@pytest.fixture
def connect(server, monkeypatch):
    """Makes clients of ``server`` that wait for moments only; all are closed at the end."""
    for name in ("URL", "TOKEN", "TOKEN_FILE", "ENVIRONMENT", "INSTANCE", "CACHE_DIR", "CA_FILE"):
        monkeypatch.delenv(f"CONFIGSVC_{name}", raising=False)
    made = []

    def connect(**options):
        options = {"url": server.url, "token": server.token, "timing": SHORT} | options
        config = Config(options.pop("service", "checkout"), **options)
        made.append(config)
        return config

    yield connect
    for config in made:
        config.close()


@pytest.fixture
def serve(server):
    """Makes local servers of ``checkout`` and ``cart``; all are closed at the end."""
    server.others["cart"] = {"items": 3}
    server.revealed = {"password": "hunter2"}
    opened = []

    def serve(listen="127.0.0.1:0", token=TOKEN, reveals=False, **options):
        settings = Settings(server.url, lambda: server.token, **{"timing": SHORT} | options)
        kinds = [("checkout", False), ("cart", False)]
        kinds += [("checkout", True)] if reveals else []
        upstream = Upstream(settings, kinds)
        opened.append(upstream)
        upstream.start()
        ask = token if callable(token) or token is None else lambda: token
        local = LocalServer(parse_address(listen), upstream, ask, reveals=reveals)
        opened.append(local)
        local.start()
        local.upstream = upstream
        return local

    yield serve
    for each in reversed(opened):
        each.close()


@pytest.fixture
def hook():
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def short_folder():
    """For sockets, whose paths have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="cs-") as folder:
        yield Path(folder)

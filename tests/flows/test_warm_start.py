"""A server that is started again has in memory what was asked of it before."""

import re

import pytest

from tests.serving import installation, until

pytestmark = pytest.mark.servers

HERE = "/config/shop"


def metric(client, name):
    text = client.get("/metrics").raise_for_status().text
    return float(re.search(rf"^configsvc_{name}.* (\S+)$", text, re.MULTILINE).group(1))


def test_start__after_another__has_in_memory_what_was_asked_often():
    with installation() as made:
        before = made.start()
        with before.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"}).raise_for_status()
            body = {"environment": "production", "config": {"a": 1}}
            client.post(HERE, json=body).raise_for_status()
            assert metric(client, "memory_entries") == 0
            first = client.get(HERE).raise_for_status()
            until(lambda: client.get(HERE) and metric(client, r'answers_total\{source="memory"'))
        before.stop()

        after = made.start(port=before.port)  # `Host` is part of a question

        assert "1 of 1 answers are ready again" in after.log.read_text()
        with after.client(made.raw) as client:
            assert metric(client, "memory_entries") > 0
            again = client.get(HERE)
        assert (again.text, again.headers["etag"]) == (first.text, first.headers["etag"])

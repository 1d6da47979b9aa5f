"""A server that is started again answers from memory what was asked of it before."""

import re

import pytest

from tests.serving import installation

pytestmark = pytest.mark.servers

HERE = "/config/shop"


def from_memory(client):
    """How many answers the process has given from memory."""
    text = client.get("/metrics").raise_for_status().text
    return float(re.search(r'configsvc_answers_total\{source="memory".*\} (\S+)', text).group(1))


def test_start__after_another__answers_from_memory_at_once():
    with installation() as made:
        before = made.start()
        with before.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"}).raise_for_status()
            body = {"environment": "production", "config": {"a": 1}}
            client.post(HERE, json=body).raise_for_status()
            for _again in range(2):
                first = client.get(HERE).raise_for_status()
        before.stop()

        after = made.start(port=before.port)  # `Host` is part of a question

        assert "1 of 1 answers are ready again" in after.log.read_text()
        with after.client(made.raw) as client:
            assert from_memory(client) == 0
            again = client.get(HERE)
            assert from_memory(client) == 1
        assert (again.text, again.headers["etag"]) == (first.text, first.headers["etag"])

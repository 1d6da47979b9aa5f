"""The benchmark of watching, in its smallest size."""

import os

import pytest
import uvloop

from tests.benchmarks import watching
from tests.serving import installation

pytestmark = pytest.mark.servers(database=pytest.long_form)
FEW = 5


def test_watching__few_streams_of_each_kind__all_hear_and_are_measured(monkeypatch):
    monkeypatch.setattr(watching, "CHANGES", 2)
    monkeypatch.setattr(watching, "IDLE", FEW)
    monkeypatch.setattr(watching, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 0.2)
    with installation() as made, watching.etcd(min(os.sched_getaffinity(0))) as port:
        server = watching.prepare(made)
        told = [
            (server.port, how, watching.ours(server, made.raw)[1]) for how in ways_of(server, made)
        ]
        told += [(port, *watching.theirs(port))] if port else []
        for address, how, change in told:
            latencies, lost = uvloop.run(watching.tell_all(address, FEW, how, change))
            assert (len(latencies), lost) == (2 * FEW, 0)
            assert 0 < watching.p99(latencies) < watching.NEWS_WITHIN * 1000
        for how in ways_of(server, made):
            size, share = uvloop.run(watching.idle(server, how))
            assert size >= 0
            assert 0 <= share < 1


def ways_of(server, made):
    return watching.ours(server, made.raw)[0].values()

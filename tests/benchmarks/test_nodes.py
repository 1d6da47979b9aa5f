"""The benchmark of nodes, in its smallest size."""

import json
import os
import subprocess
import sys

import pytest

from tests.commands import TOP

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]


def test_nodes__few_publishes__are_seen_with_and_without_redis():
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.nodes"],
        check=False,
        cwd=TOP,
        env={**os.environ, "BENCHMARK_PUBLISHES": "3"},
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["with Redis: publishes"], found["without Redis: publishes"]) == (3, 1)
    assert found["with Redis: seen ms, p99"] > 0

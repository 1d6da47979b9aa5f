"""The benchmark of delivery runs whole, in its smallest size, also where no peer is installed."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks.__main__ import MEASURES, figures, rows
from tests.commands import TOP

EMPTY = {each.benchmark: {} for each in MEASURES}
PEERS = ("nginx", "etcd", "webdis")


@pytest.mark.servers
@pytest.mark.postgresql
def test_delivery__smallest_of_everything__has_a_figure_for_each_measure_and_judges_none(tmp_path):
    written = tmp_path / "found.json"

    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", str(written)],
        check=False,
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(written.read_text())
    missing = [row["measure"] for row in found["rows"] if row["found"] is None]
    assert all(any(peer in name for peer in PEERS) for name in missing), missing
    assert {row["verdict"] for row in found["rows"]} <= {"", "its peer is not installed"}
    assert {row["measure"] for row in found["rows"]} == {each.name for each in MEASURES}
    watched = figures(found["benchmarks"]["watching"])
    assert {value for name, value in watched.items() if name.endswith("lost")} == {0}
    sizes = found["benchmarks"]["sizes"]
    assert (sizes["documents"], sizes["versions"]) == (9, 10)
    assert done.stdout.startswith("| measure | found | must reach |")


@pytest.mark.parametrize(
    ("benchmark", "found", "expected"),
    [
        ("pacing", {"figures": {"p99 ms": [5, 1, 9]}}, [("p99 ms", 5, "at most 5", "met")]),
        ("pacing", {"figures": {"p99 ms": [5.1, 1, 9]}}, [("p99 ms", 5.1, "at most 5", "MISSED")]),
        (
            "watching",
            {"SSE / etcd, 1000 watchers": 0.3, "SSE / etcd, 5000 watchers": 0.6},
            [
                ("SSE / etcd, 1000 watchers", 0.3, "at most 0.5", "met"),
                ("SSE / etcd, 5000 watchers", 0.6, "at most 0.5", "MISSED"),
            ],
        ),
        (
            "reading",
            {"ratios": [{"of": "304", "to": "GET", "per_core_second": 0.99}]},
            [("304 / GET", 0.99, "at least 1", "MISSED")],
        ),
    ],
)
def test_rows__figures_of_a_benchmark__are_held_against_what_they_must_reach(
    benchmark, found, expected
):
    whole = rows(EMPTY | {benchmark: found})

    told = [tuple(row.values())[1:] for row in whole if row["found"] is not None]

    assert told == expected


def test_rows__nothing_measured__says_so_of_every_measure():
    assert [row["verdict"] for row in rows(EMPTY)] == ["its peer is not installed"] * len(MEASURES)

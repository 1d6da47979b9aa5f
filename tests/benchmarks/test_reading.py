"""The benchmark of reading runs, also where nobody is there to be compared with."""

import json
import subprocess
import sys

import pytest

from tests.commands import TOP

pytestmark = pytest.mark.servers(database=False)


NAMES = {"GET", "304", "GET, gzip", "GET, two secrets revealed"}


def test_benchmark__this_project_alone__gives_ratios_and_json(tmp_path):
    written = tmp_path / "reading.json"
    command = [sys.executable, "-m", "tests.benchmarks.reading", "--alone", "--rounds", "1"]

    done = subprocess.run(
        [*command, "--seconds", "0.2", "--json", str(written)],
        check=False,
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(written.read_text())
    assert {each["of"] for each in found["ratios"]} == NAMES
    assert all(each["per_second"] > 0 for each in found["rates"].values())
    assert "must reach" in done.stdout

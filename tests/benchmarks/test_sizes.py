"""The benchmark of sizes, in its smallest size."""

import json
import subprocess
import sys

import pytest

from tests.commands import TOP

pytestmark = [pytest.mark.servers, pytest.mark.postgresql]


def test_sizes__few_documents_and_versions__give_ratios_and_json(tmp_path):
    written = tmp_path / "sizes.json"
    command = [sys.executable, "-m", "tests.benchmarks.sizes", "--services", "3"]

    done = subprocess.run(
        [*command, "--versions", "10", "--rounds", "1", "--seconds", "0.2", "--json", str(written)],
        check=False,
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(written.read_text())
    assert (found["documents"], found["versions"]) == (9, 10)
    assert found["bytes of one"] > 2_000
    ratios = {name for name in found if " / " in name}
    assert ratios == {
        "hot GET, all / one",
        "MB above the empty process / goal",
        "publish p50, many versions / few",
        "fetch p50, many versions / few",
        "hot GET, few versions / many",
    }
    assert all(found[name][0] > 0 for name in ratios if isinstance(found[name], list))
    assert done.stdout.splitlines()[0].startswith(tuple(ratios))

"""``deploy/run`` in a place where nothing is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize("asked", [["--help"], ["--port", "8001", "-h"]])
def test_run__asked_for_help__tells_its_options_and_installs_nothing(tmp_path, asked):
    shutil.copytree(DEPLOY, tmp_path / "deploy")

    answer = subprocess.run(
        ["/usr/bin/env", "bash", tmp_path / "deploy" / "run", *asked],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (answer.returncode, answer.stderr) == (0, "")
    assert all(name in answer.stdout for name in ("--data", "--host", "--port", "--workers"))
    assert [each.name for each in tmp_path.iterdir()] == ["deploy"]

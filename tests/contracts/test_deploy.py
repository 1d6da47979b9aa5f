"""What ``deploy/run`` and ``deploy/test`` do and say, with programs in their place that only say
their arguments.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TOOLS = "bash dirname basename mktemp rm cat cksum sed sort awk grep"
PYTHON = """\
case "$*" in
*"tests.chromium find") cat chromium 2>/dev/null ;;
*"tests.real_services --check") [ -e services ] ;;
*"tests.backups.pgbackrest find") cat pgbackrest 2>/dev/null ;;
"-m tests.real_services "*) shift 2; exec "$@" ;;
esac
"""
PROGRAMS = {
    "python": PYTHON,
    "pytest": 'echo "pytest $*"; echo "1 passed"',
    "playwright": 'echo "playwright $*"; [ "$1" = --version ] || echo /opt/chrome >chromium',
    "mypy": "",
    "ruff": "",
    "lint-imports": "echo Contracts",
}

SYSTEM_PYTHON = """\
case "$*" in
*"import venv"*) [ -e "$TMPDIR/has-venv" ] ;;
*"%d.%d-venv"*) echo python3.11-venv ;;
*"-m venv "*) mkdir -p "$3/bin"; cp "$TMPDIR/tools/made-python" "$3/bin/python" ;;
esac
"""
MADE_PYTHON = 'case "$1" in -c) ;; *) echo "python $* in ${CONFIGSVC_DATA_DIR:-}" ;; esac'


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path):
    """A project with ``deploy/test`` in it, on a machine without apt, Chromium and databases."""
    shutil.copytree(TOP / "deploy", tmp_path / "deploy", ignore=lambda *_: ("agent", "demo"))
    for path in ("requirements.txt", "tests/requirements.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("thing==1\n")
    for name, text in PROGRAMS.items():
        write_program(tmp_path / ".venv/bin" / name, text)
    for name in TOOLS.split():
        (tmp_path / "tools").mkdir(exist_ok=True)
        (tmp_path / "tools" / name).symlink_to(shutil.which(name))
    write_program(tmp_path / "tools/id", "echo 0")
    return tmp_path


def run(place, *arguments, script="deploy/test"):
    return subprocess.run(
        ["/usr/bin/env", "bash", place / script, *arguments],
        cwd=place,
        env={"PATH": str(place / "tools"), "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    "arguments", [["--embedded", "-k", "two words"], ["-k", "two words", "--embedded"]]
)
def test_embedded__anywhere_and_nothing_is_there__runs_sqlite_and_ends_as_pytest_does(
    place, arguments
):
    write_program(place / ".venv/bin/playwright", 'echo "playwright $*"; [ "$1" = --version ]')

    done = run(place, *arguments)

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert sum(line.startswith("pytest ") for line in lines) == 1
    assert lines[-2].endswith("-m not browser -k two words")
    assert sum(line.startswith("NOT RUN: ") for line in lines) == 3
    assert lines[-1] == "1 passed"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("chromium", "no Chromium"),
        ("services", "PostgreSQL or Redis"),
        ("pgbackrest", "no pgBackRest"),
    ],
)
def test_without_embedded__something_is_missing__fails_before_any_test(place, missing, said):
    write_program(place / ".venv/bin/playwright", '[ "$1" = --version ]')
    for name in {"chromium", "services", "pgbackrest"} - {missing}:
        (place / name).write_text("/opt/program\n")

    done = run(place)

    assert done.returncode != 0
    assert said in done.stdout
    assert "pytest " not in done.stdout


def test_everything_there__runs_three_times(place):
    for name in ("chromium", "services", "pgbackrest"):
        (place / name).write_text("/opt/program\n")

    lines = run(place, "-x").stdout.splitlines()

    runs = [line for line in lines if line.startswith("pytest ")]
    assert [each.partition(" -m ")[2] for each in runs] == [
        "not browser -x",
        "not browser --database-only -x",
        "browser -x",
    ]
    assert lines[-1] == "1 passed"


@pytest.mark.parametrize(
    ("apt", "wanted"),
    [
        (None, "install chromium"),
        ('[ "$1" = update ]', "install --with-deps chromium"),
        (":", "install --with-deps chromium"),  # what it installs is none that runs: Ubuntu's
    ],
)
def test_chromium__not_packaged__is_playwrights_with_what_it_links_against(place, apt, wanted):
    (place / "services").touch()
    (place / "pgbackrest").write_text("/opt/program\n")
    if apt:
        write_program(place / "tools/apt-get", apt)

    done = run(place)

    assert f"playwright {wanted}" in done.stdout.splitlines()
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("ends", "found"), [("exit 1", False), ("echo Chromium 1", True)])
def test_find_chromium__packaged__is_one_that_runs(tmp_path, ends, found):
    program = tmp_path / "chromium"
    write_program(program, ends)

    done = subprocess.run(
        [sys.executable, "-m", "tests.chromium", "find"],
        cwd=TOP,
        env={"PATH": f"{tmp_path}:{Path(shutil.which('bash')).parent}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (str(program) in done.stdout) == found


@pytest.fixture
def bare(place):
    """The same on a machine with git and a Python that lacks venv, and nothing else done."""
    shutil.rmtree(place / ".venv")
    for name in ("mkdir", "cp", "touch"):
        (place / "tools" / name).symlink_to(shutil.which(name))
    write_program(place / "tools/python3", SYSTEM_PYTHON)
    write_program(place / "tools/made-python", MADE_PYTHON)
    return place


def test_run__no_venv_and_it_may_not_be_installed__says_the_one_command(bare):
    done = run(bare, script="deploy/run")

    assert done.returncode != 0
    assert "Run once: sudo apt-get install -y python3.11-venv" in done.stdout
    assert not (bare / ".venv").exists()


def test_run__no_venv_and_it_may_be_installed__installs_what_is_pinned_once_and_serves(bare):
    install = '[ "$1" = update ] || { echo "apt-get $*"; touch "$TMPDIR/has-venv"; }'
    write_program(bare / "tools/apt-get", install)

    first = run(bare, "--port", "8001", script="deploy/run").stdout.splitlines()
    second = run(bare, "--port", "8001", script="deploy/run").stdout.splitlines()

    assert any(line.startswith("apt-get install") and "python3.11-venv" in line for line in first)
    installs = [line for line in first if "pip install" in line]
    assert len(installs) == 2
    assert all("--no-deps" in line for line in installs)
    served = f"python {bare}/manage.py serve --port 8001 in {bare}/var"
    assert first[-1] == served
    assert second == [served]

"""``import_configs`` on a folder that holds more than configurations."""

import os
import tempfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.configs.services.importing import UNREADABLE, find_files

NOBODY = 65_534
pytestmark = pytest.mark.django_db


@pytest.fixture
def run(capsys):
    """Imports a path, and gives the lines of the report."""

    def run(path, *options):
        call_command("import_configs", str(path), "--environment", "staging", *options)
        return capsys.readouterr().out.splitlines()

    return run


def test_import_configs__files_that_are_none__are_named_by_the_reason(run, tmp_path):
    folder = tmp_path / "ours"
    folder.mkdir()
    (tmp_path / "theirs.yaml").write_text("a: 1\n")
    tmp_path = folder
    (tmp_path / "shop.yaml").write_text("a: 1\n")
    (tmp_path / "out.yaml").symlink_to("../theirs.yaml")
    for name in ("Makefile", "docs/notes.md", ".gitignore", ".git/config", ".git/hook.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a\n")
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    (tmp_path / ".env").write_text("A=1\n")

    for options in (["--dry-run"], []):
        lines = run(tmp_path, *options)

        assert sorted(line for line in lines if line.startswith("passed over")) == [
            "passed over 1 not to be read: gone.yaml",
            "passed over 1 that are links out of the folder: out.yaml",
            "passed over 2 with no suffix of a format: Makefile, docs/notes.md",
            "passed over 3 hidden: .git/config, .git/hook.yaml, .gitignore",
        ]
        assert lines[-1].startswith("2 files ")


def test_import_configs__files_in_folders__are_told_by_their_paths(run, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "shop.yaml").write_text("a: 1\n")
    (tmp_path / "linked.yaml").symlink_to("sub/shop.yaml")

    assert run(tmp_path)[:2] == [
        "version 1  linked.yaml -> linked (new service)",
        "version 1  sub/shop.yaml -> shop (new service)",
    ]


def test_import_configs__many_others__are_counted_and_some_named(run, tmp_path):
    (tmp_path / "shop.yaml").write_text("a: 1\n")
    for number in range(25):
        (tmp_path / f"page-{number:02}.html").touch()

    line = next(each for each in run(tmp_path) if each.startswith("passed over"))

    assert line.startswith("passed over 25 with no suffix of a format: page-00.html, page-01.html")
    assert line.endswith(", page-19.html and 5 more")


def test_import_configs__name_that_no_terminal_shows__is_told_all_the_same(run, tmp_path):
    (tmp_path / "shop.yaml").write_text("a: 1\n")
    (tmp_path / os.fsdecode(b"\xff\x1b[2J.txt")).touch()

    assert "passed over 1 with no suffix of a format: '\\udcff\\x1b[2J.txt'" in run(tmp_path)


def test_import_configs__nothing_else_there__says_so_before_it_fails(capsys, tmp_path):
    (tmp_path / "notes.md").touch()

    for path in (tmp_path, tmp_path / "notes.md"):
        with pytest.raises(CommandError, match="There is no configuration file"):
            call_command("import_configs", str(path), "--environment", "staging")
        assert "1 with no suffix of a format: notes.md" in capsys.readouterr().out


def test_import_configs__file_that_cannot_be_read__is_refused_with_the_reason(capsys, tmp_path):
    file = tmp_path / "cart.yaml"
    file.symlink_to("/proc/self/mem")  # reading it fails for everybody

    with pytest.raises(CommandError, match=r"1 of 1 files were refused; nothing was stored"):
        call_command("import_configs", str(file), "--environment", "staging")

    assert "refused    cart.yaml: The file cannot be read: " in capsys.readouterr().out


def test_import_configs__no_file_has_a_name_of_a_service__names_each(capsys, tmp_path):
    for name in ("bad name.yaml", "another one.yaml"):
        (tmp_path / name).write_text("a: 1\n")

    with pytest.raises(CommandError, match=r"2 of 2 files were refused; nothing was stored"):
        call_command("import_configs", str(tmp_path), "--environment", "staging")

    told = capsys.readouterr().out
    assert "refused    bad name.yaml: " in told
    assert "refused    another one.yaml: " in told


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_find_files__folder_that_may_not_be_looked_into__is_named(mode):
    with tempfile.TemporaryDirectory() as name:
        folder, closed = Path(name), Path(name) / "closed"
        folder.chmod(0o755)
        closed.mkdir()
        (closed / "cart.yaml").touch()
        (folder / "shop.yaml").touch()
        closed.chmod(mode)
        user = os.getuid()
        if user == 0:
            os.setresuid(NOBODY, NOBODY, 0)
        try:
            found = find_files(folder)
        finally:
            os.setresuid(user, user, user)
            closed.chmod(0o700)

    assert found.files == [folder / "shop.yaml"]
    assert list(found.passed_over) == [UNREADABLE]
    assert closed in found.passed_over[UNREADABLE]

"""The last good copy: when it is written, when it is used, and when it is not."""

import json
import stat
import subprocess
import sys
import time

import pytest

from configsvc_client import ConfigError
from configsvc_client.copies import Copy, Kept
from tests.agent.test_fetching import wait_until
from tests.serving import TOP

ENVELOPE = {"service": "a", "environment": "b", "version": 1, "revision": 1, "config": {"x": 0.1}}


def test_start__server_away__uses_the_copy_and_says_so(server, connect, tmp_path, caplog):
    connect(cache_dir=tmp_path / "new")
    server.stop()

    config = connect(cache_dir=tmp_path / "new")

    assert (config.get("settings.timeout"), config.stale) == (1, True)
    assert "using the copy on disk" in caplog.text
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()] == [0o600]


def test_start__server_returns__is_not_stale_any_more(server, connect, tmp_path):
    connect(cache_dir=tmp_path)
    server.stop()
    config = connect(cache_dir=tmp_path)
    config.start()

    server.start()

    wait_until(lambda: not config.stale)
    assert config.get("settings.timeout") == 1


def test_start__copy_is_current__is_confirmed_without_a_body(server, connect, tmp_path):
    connect(cache_dir=tmp_path)

    config = connect(cache_dir=tmp_path)

    assert server.asked[-1][2]["If-None-Match"] == '"e1-1"'
    assert (config.stale, config.version) == (False, 1)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
def test_start__refused_with_a_copy__uses_it(server, connect, tmp_path, status, caplog):
    connect(cache_dir=tmp_path)
    server.refuse["/config/checkout"] = (status, {}, b"{}")

    config = connect(cache_dir=tmp_path)

    assert (config.get("settings.timeout"), config.stale) == (1, True)
    assert config.retired == (status == 410)
    assert str(status) in caplog.text


def test_start__server_is_behind__keeps_the_newer_copy(server, connect, tmp_path, caplog):
    server.publish({"settings": {"timeout": 2}})
    connect(cache_dir=tmp_path)
    server.behind = ("e1", 1, {"settings": {"timeout": 1}})

    config = connect(cache_dir=tmp_path)

    assert (config.get("settings.timeout"), config.version, config.stale) == (2, 2, True)
    assert "behind the copy" in caplog.text


def test_start__another_epoch__takes_its_earlier_version(server, connect, tmp_path):
    server.publish({"settings": {"timeout": 2}})
    connect(cache_dir=tmp_path)
    server.restore("e2", {"settings": {"timeout": 1}}, 1)

    config = connect(cache_dir=tmp_path)

    assert (config.get("settings.timeout"), config.version, config.stale) == (1, 1, False)


def test_change__while_watching__is_kept(server, connect, tmp_path):
    config = connect(cache_dir=tmp_path)
    config.start()
    server.wait_for("/stream")

    server.publish({"settings": {"timeout": 5}})
    wait_until(lambda: config.version == 2)
    config.close()
    server.stop()

    assert connect(cache_dir=tmp_path).get("settings.timeout") == 5
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "\xff\xfe", '{"format":1,"sha256":"x","envelope":"{}"}']
)
def test_read__damaged__is_no_copy(server, connect, tmp_path, text, caplog):
    (tmp_path / "checkout.json").write_text(text, encoding="latin-1")
    server.stop()

    with pytest.raises(ConfigError, match="no copy"):
        connect(cache_dir=tmp_path)

    assert "copy" in caplog.text


def test_read__one_flipped_byte__is_no_copy(tmp_path):
    copy = Copy(tmp_path, "a", "b")
    copy.write(Kept(ENVELOPE, '"1"', "e1"))
    assert copy.read() == Kept(ENVELOPE, '"1"', "e1")

    copy.path.write_text(copy.path.read_text().replace("0.1", "0.2"))

    assert copy.read() is None


def test_read__sections__are_what_was_written(tmp_path):
    copy = Copy(tmp_path, "a", None)

    for keys in (None, (), ("env", "more")):
        copy.write(Kept(ENVELOPE, '"1"', "e1", keys))
        assert copy.read() == Kept(ENVELOPE, '"1"', "e1", keys)


def test_read__of_another_environment__is_no_copy(tmp_path):
    written = Copy(tmp_path, "a", "b")
    written.write(Kept(ENVELOPE, "", "e1"))
    other = Copy(tmp_path, "a", "other")
    other.path.write_bytes(written.path.read_bytes())

    assert other.read() is None
    assert Copy(tmp_path, "A", "B").read() is not None


def test_write__name_that_is_a_path__stays_in_the_folder(tmp_path):
    assert Copy(tmp_path, "../../etc/passwd", None).path.parent == tmp_path


def test_write__folder_cannot_be_made__is_logged_and_serves(connect, tmp_path, caplog):
    (tmp_path / "file").write_text("")

    config = connect(cache_dir=tmp_path / "file" / "folder")

    assert config.get("settings.timeout") == 1
    assert "could not be written" in caplog.text


def test_write__rename_fails__leaves_nothing_behind(tmp_path, caplog):
    copy = Copy(tmp_path, "a", None)
    copy.path.mkdir()

    copy.write(Kept(ENVELOPE, "", "e1"))

    assert [path.name for path in tmp_path.iterdir()] == [copy.path.name]
    assert "could not be written" in caplog.text


WRITER = """
import sys
from pathlib import Path
from configsvc_client.copies import Copy, Kept
copy = Copy(Path(sys.argv[1]), "a", "b")
envelope = {"service": "a", "environment": "b", "version": 1, "revision": 1}
for number in range(10**6):
    copy.write(Kept({**envelope, "config": {"filling": str(number % 10) * 50_000}}, "", "e1"))
    print(flush=True)
"""


def test_write__process_killed_at_any_moment__leaves_a_whole_copy(tmp_path):
    for pause in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path],
            env={"PYTHONPATH": str(TOP / "deploy" / "agent")},
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        time.sleep(pause / 1000)
        process.kill()
        process.communicate()

        assert Copy(tmp_path, "a", "b").read() is not None


def test_start__server_without_its_database__is_stale(server, connect, tmp_path):
    server.server_is_stale = True
    config = connect(cache_dir=tmp_path)
    assert config.stale

    server.server_is_stale = False
    config.start()

    wait_until(lambda: not config.stale)
    assert json.loads((tmp_path / "checkout.json").read_text())["epoch"] == "e1"


def test_copy__of_two_units__is_one_for_each(server, connect, tmp_path):
    server.publish({"steps": 1})
    connect(cache_dir=tmp_path, unit="ada")
    server.publish({"steps": 2})
    connect(cache_dir=tmp_path, unit="bob")
    connect(cache_dir=tmp_path)
    server.stop()

    kept = [connect(cache_dir=tmp_path, unit=unit).get("steps") for unit in ("ada", "bob", None)]

    assert kept == [1, 2, 2]
    assert len(list(tmp_path.iterdir())) == 3

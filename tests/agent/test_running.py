"""``configsvc-agent run`` as a process of its own, on the contract's server."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.agent.processes import Agent, wait_until
from tests.real_services import free_port
from tests.serving import TOP


@pytest.fixture
def launch(server, tmp_path):
    """Starts agents; what still runs at the end is killed."""
    started = []

    def launch(*arguments, act="run", environment=(), url=None, **options):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(
                [str(TOP / "deploy" / "agent"), os.environ.get("PYTHONPATH", "")]
            ),
            "CONFIGSVC_URL": url or server.url,
            "CONFIGSVC_TOKEN": server.token,
            **dict(environment),
        }
        agent = Agent(tmp_path, [act, *arguments], environment, **options)
        started.append(agent)
        return agent

    yield launch
    for agent in started:
        if agent.process.poll() is None:
            agent.process.terminate()
            try:
                agent.process.wait(10)
            except subprocess.TimeoutExpired:
                agent.process.kill()
                agent.process.wait()


FAST = ("--wait", "0.1:1", "--kill-timeout", "5")
SHOW = "echo timeout=$SETTINGS__TIMEOUT token=$CONFIGSVC_TOKEN; exec sleep 60"


def timeout(value):
    return {"settings": {"timeout": value}}


def state_of(pid):
    """The letter of its state; ``None`` where it is gone, as it may be at any moment."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


# -- the child ---------------------------------------------------------------------------------


def test_env__command__has_its_configuration_and_not_the_agents_token(launch):
    agent = launch("--env", "checkout", "--", "sh", "-c", SHOW)

    agent.says("timeout=1 token=\n")


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
)
def test_exit__of_the_child__is_the_agents(launch, script, code):
    assert launch("--env", "checkout", "--", "sh", "-c", script).wait() == code


@pytest.mark.parametrize(("command", "code"), [("/no/such/program", 127), ("/etc/hostname", 126)])
def test_exit__command_that_cannot_start__says_so(launch, command, code):
    agent = launch("--env", "checkout", "--", command)

    assert agent.wait() == code
    assert f"{command} cannot be started" in agent.log


TRAPS = (
    'trap "echo heard USR1" USR1; trap "echo heard HUP" HUP; trap "echo heard TERM; exit 5" TERM; '
    "echo ready; while :; do sleep 0.05; done"
)


def test_signals__to_the_agent__reach_the_child_and_its_code_comes_back(launch):
    agent = launch("--env", "checkout", "--", "sh", "-c", TRAPS)
    agent.says("ready")

    for name in ("USR1", "HUP", "TERM"):
        agent.process.send_signal(signal.Signals[f"SIG{name}"])
        agent.says(f"heard {name}")

    assert agent.wait() == 5


def test_sigterm__child_that_does_not_hear_it__is_killed_with_its_group(launch):
    script = 'trap "" TERM; sleep 300 & echo pids $$ $!; while :; do sleep 0.05; done'
    agent = launch("--env", "--kill-timeout", "0.5", "checkout", "--", "sh", "-c", script)
    agent.says("pids")
    pids = [int(each) for each in agent.output.split()[1:3]]

    agent.process.terminate()

    assert agent.wait() == 137
    assert "did not end in time" in agent.log
    wait_until(lambda: all(state_of(pid) in (None, "Z") for pid in pids))


def become_reaper():
    """What the first process of a container is: it gets the orphans below it."""
    assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER


def children_of(agent):
    listed = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children")
    return {int(pid): state_of(pid) for pid in listed.read_text().split()}


def test_orphans__left_to_the_agent__are_reaped(launch):
    script = "(setsid sleep 1 &) ; (setsid true &); echo up; exec sleep 300"
    agent = launch("--env", "checkout", "--", "sh", "-c", script, preexec_fn=become_reaper)
    agent.says("up")

    wait_until(lambda: len(children_of(agent)) == 1, what="reaping")

    assert not {None, "Z"} & set(children_of(agent).values())


def test_child__ended_and_started_again__leaves_no_zombie(launch):
    arguments = ("--env", "--restart", "always", "checkout", "--", "sh", "-c", "echo up; exit 3")
    agent = launch(*arguments)
    agent.says("up", count=2)

    wait_until(lambda: children_of(agent) == {}, what="reaping")


def test_crash__restarted_with_back_off__and_not_hammered(launch):
    agent = launch(
        "--env", "--restart", "on-failure", "checkout", "--", "sh", "-c", "echo up; exit 9"
    )

    agent.says("up", count=3)

    pauses = [
        line.rpartition(" in ")[2] for line in agent.log.splitlines() if "started again" in line
    ]
    assert pauses[:2] == ["1 s.", "2 s."]
    assert "ended with 9" in agent.log
    agent.process.terminate()
    assert agent.wait() in (9, 143)


def test_crash__configuration_changes_meanwhile__starts_at_once(launch, server):
    script = 'echo "t=$SETTINGS__TIMEOUT"; [ "$SETTINGS__TIMEOUT" = 2 ] || exit 9; exec sleep 60'
    agent = launch("--env", *FAST, "--restart", "on-failure", "checkout", "--", "sh", "-c", script)
    agent.logs("started again in 4 s")

    server.publish(timeout(2))

    agent.says("t=2")


def test_on_failure__ends_well__ends_the_agent(launch):
    agent = launch("--env", "--restart", "on-failure", "checkout", "--", "true")

    assert agent.wait() == 0


# -- changes -----------------------------------------------------------------------------------


def test_restart__on_a_change__starts_anew_with_the_new_values(launch, server):
    agent = launch("--env", *FAST, "checkout", "--", "sh", "-c", SHOW)
    agent.says("timeout=1 ")
    server.wait_for("/stream")

    server.publish(timeout(2))

    agent.says("timeout=2 ")
    assert agent.output.count("timeout=") == 2
    assert agent.process.poll() is None


def test_restart__many_changes_in_a_row__restarts_once(launch, server):
    agent = launch("--env", "--wait", "4:30", "checkout", "--", "sh", "-c", SHOW)
    agent.says("timeout=1 ")
    server.wait_for("/stream")

    for value in range(2, 12):
        server.publish(timeout(value))
        time.sleep(0.05)

    agent.says("timeout=11 ")
    assert agent.output.count("timeout=") == 2


def test_signal__bytes_that_do_not_change__are_not_written_and_not_signalled(
    launch, server, tmp_path
):
    file = tmp_path / "app.json"
    pieces = ["--file", f"json:{file}", "--section", "settings", "--on-change", "signal:HUP", *FAST]
    agent = launch(*pieces, "checkout", "--", "sh", "-c", TRAPS)
    agent.says("ready")
    server.wait_for("/stream")
    before = file.stat()

    server.publish({"settings": {"timeout": 1}, "other": "moved"})
    wait_until(lambda: any(query.get("min_revision") == "e1-2" for _path, query, _ in server.asked))
    time.sleep(1)
    unchanged = file.stat()
    heard = agent.output.count("HUP")
    server.publish({"settings": {"timeout": 2}})
    agent.says("heard HUP")

    assert heard == 0
    assert (before.st_ino, before.st_mtime_ns) == (unchanged.st_ino, unchanged.st_mtime_ns)
    assert json.loads(file.read_text()) == {"timeout": 2}
    assert file.stat().st_ino != before.st_ino
    assert file.stat().st_mode & 0o777 == 0o600


def test_change__that_cannot_be_rendered__keeps_files_and_process_and_says_why(
    launch, server, tmp_path
):
    file = tmp_path / "app.toml"
    agent = launch("--file", f"toml:{file}", "--env", *FAST, "checkout", "--", "sh", "-c", SHOW)
    agent.says("timeout=1 ")
    server.wait_for("/stream")

    server.publish({"settings": {"timeout": None}})
    agent.logs("Version 2 is not used, all stays as it was")
    kept = file.read_text()
    server.publish({"settings": {"timeout": 3}})
    agent.says("timeout=3 ")

    assert "settings.timeout: There is no null in TOML" in agent.log
    assert kept == "[settings]\ntimeout = 1\n"
    assert agent.output.count("timeout=") == 2


def test_start__collision_of_names__is_refused(launch, server):
    server.publish({"a": {"b": 1}, "a__b": 2})

    agent = launch("--env", "checkout", "--", "true")

    assert agent.wait() == 1
    assert "Two keys have the name A__B: a.b and a__b." in agent.log


def test_template__fails_later__keeps_the_last_good_file(launch, server, tmp_path):
    (tmp_path / "a.j2").write_text("timeout {{ config.settings.timeout }};\n")
    file = tmp_path / "a.conf"
    agent = launch("--template", f"a.j2:{file}", *FAST, "checkout")
    wait_until(file.exists)
    server.wait_for("/stream")

    server.publish({"settings": {}})
    agent.logs("has no attribute 'timeout'")
    kept = file.read_text()
    server.publish(timeout(3))
    wait_until(lambda: file.read_text() == "timeout 3;\n")

    assert kept == "timeout 1;\n"
    agent.process.terminate()
    assert agent.wait() == 0


def test_url__on_a_change__is_called_until_it_takes_it(launch, server, tmp_path, hook):
    launch("--file", f"json:{tmp_path}/a", "--on-change", f"url:{hook.url}", *FAST, "checkout")
    wait_until(lambda: hook.bodies)
    server.wait_for("/stream")
    hook.fails = 1

    server.publish(timeout(2))

    wait_until(lambda: len(hook.bodies) == 3)
    assert [body["version"] for body in hook.bodies] == [1, 2, 2]
    assert hook.bodies[-1] == {"service": "checkout", "environment": "production", "version": 2}


# -- without the server ------------------------------------------------------------------------


def test_start__server_away_without_a_copy__waits_and_says_so(launch):
    agent = launch(
        "--env",
        "--start-timeout",
        "1",
        "checkout",
        "--",
        "true",
        url=f"http://127.0.0.1:{free_port()}",
    )

    assert agent.wait() == 1
    assert "The server is away and there is no copy" in agent.log
    assert agent.log.count("Waiting for the server, 1 s at most") == 1
    assert "Traceback" not in agent.log


def test_start__server_comes_within_the_time__goes_on(launch, server):
    server.stop()
    agent = launch("--env", "checkout", "--", "sh", "-c", SHOW)
    agent.logs("Waiting for the server")

    server.start()

    agent.says("timeout=1 ")


def test_start__server_away__uses_the_encrypted_copy_and_follows_later(launch, server, tmp_path):
    pieces = [
        "--env",
        "--cache-dir",
        str(tmp_path / "kept"),
        *FAST,
        "checkout",
        "--",
        "sh",
        "-c",
        SHOW,
    ]
    first = launch(*pieces)
    first.says("timeout=1 ")
    first.process.terminate()
    first.wait()
    [copy] = (tmp_path / "kept").iterdir()
    server.stop()

    second = launch(*pieces)
    second.says("timeout=1 ")
    server.start()
    server.publish(timeout(2))
    second.says("timeout=2 ")

    assert copy.suffix == ".sealed"
    assert b"timeout" not in copy.read_bytes()
    assert "using the copy on disk" in second.log


def test_start__copy_of_another_token__is_none(launch, server, tmp_path):
    pieces = ["--env", "--cache-dir", str(tmp_path / "kept"), "--start-timeout", "0", "checkout"]
    assert launch(*pieces, "--", "true").wait() == 0
    server.stop()

    agent = launch(*pieces, "--", "true", environment={"CONFIGSVC_TOKEN": "csk_other"})

    assert agent.wait() == 1
    assert "another key or token" in agent.log


def test_start__refused__says_why(launch):
    agent = launch("--env", "checkout", "--", "true", environment={"CONFIGSVC_TOKEN": "csk_no"})

    assert agent.wait() == 1
    assert "401: Send a token." in agent.log


def test_sigterm__while_waiting_for_the_server__ends(launch):
    agent = launch("--env", "checkout", "--", "true", url=f"http://127.0.0.1:{free_port()}")
    wait_until(lambda: "Waiting" in agent.log)

    agent.process.terminate()

    assert agent.wait() == 143


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["checkout"], "Say what to make"),
        (["--env", "checkout"], "Say what to make"),
        (["--file", "ini:x", "checkout"], "--file wants FORMAT:PATH"),
        (["--file", "json:x", "--on-change", "restart", "checkout"], "needs a -- COMMAND"),
        (["--env", "--on-change", "signal:NOPE", "checkout", "--", "true"], "no signal NOPE"),
        (["--env", "--on-change", "url:ftp://x", "checkout", "--", "true"], "wants a URL"),
        (["--env", "--on-change", "what", "checkout", "--", "true"], "--on-change wants"),
        (["--env", "--template", "nope:x", "checkout", "--", "true"], "There is no template nope"),
        (["--env", "--listen", "0.0.0.0:0", "checkout", "--", "true"], "loopback alone"),
        (["--env", "--wait", "x", "checkout", "--", "true"], "invalid"),
    ],
)
def test_usage__wrong__ends_with_2_and_says_what_is_wanted(launch, arguments, said):
    agent = launch(*arguments)

    assert agent.wait() == 2
    assert said in agent.log


SHOW_LEVEL = "echo level=$LOG_LEVEL,$ENV__LOG_LEVEL,$SETTINGS__TIMEOUT; exec sleep 60"


def test_env__sections_of_variables__go_by_their_own_names_also_without_the_server(
    launch, server, tmp_path
):
    document = {"env": {"LOG_LEVEL": "info"}, "settings": {"timeout": 1}}
    server.sections["env"] = "environment_variables"
    server.publish(document)
    kept = ("--cache-dir", str(tmp_path / "kept"))
    command = ("checkout", "--", "sh", "-c", SHOW_LEVEL)
    agent = launch("--env", "--file", "env:.env", *kept, *FAST, *command)
    agent.says("level=info,,1")
    assert (tmp_path / ".env").read_text() == "LOG_LEVEL=info\n"

    server.publish({**document, "env": {"LOG_LEVEL": "debug"}})
    agent.says("level=debug,,1")
    agent.process.terminate()
    agent.wait()
    server.stop()
    (tmp_path / ".env").unlink()

    again = launch("--env", "--file", "env:.env", *kept, *FAST, *command)
    again.says("level=debug,,1")
    assert (tmp_path / ".env").read_text() == "LOG_LEVEL=debug\n"


def test_env__section_declared_and_the_same_published__restarts_with_its_names(launch, server):
    server.publish({"env": {"LOG_LEVEL": "info"}, "settings": {"timeout": 1}})
    agent = launch("--env", *FAST, "checkout", "--", "sh", "-c", SHOW_LEVEL)
    agent.says("level=,info,1")

    server.sections["env"] = "environment_variables"
    server.publish({"env": {"LOG_LEVEL": "info"}, "settings": {"timeout": 1}})

    agent.says("level=info,,1")


def test_start__copy_without_sections__says_what_is_made_of_it(launch, server, tmp_path):
    kept = ("--cache-dir", str(tmp_path / "kept"))
    assert launch("--once", "--file", "json:a.json", *kept, "checkout").wait() == 0
    server.stop()

    agent = launch("--once", "--file", "env:.env", *kept, "checkout")

    assert agent.wait() == 0
    assert "does not say which sections are environment variables" in agent.log
    assert (tmp_path / ".env").read_text() == "settings__timeout=1\n"


def test_once__writes_and_ends(launch, tmp_path):
    agent = launch("--once", "--file", f"env:{tmp_path}/.env", "checkout")

    assert agent.wait() == 0
    assert (tmp_path / ".env").read_text() == "settings__timeout=1\n"


@pytest.mark.long_form
@pytest.mark.parametrize("fault", ["ends", "silent"])
def test_change__streams_do_not_get_through__comes_by_polls(launch, server, tmp_path, fault):
    server.stream_fault = fault
    file = tmp_path / "a"
    launch("--file", f"json:{file}", *FAST, "checkout")
    wait_until(file.exists)

    server.publish(timeout(2))

    wait_until(lambda: json.loads(file.read_text()) == timeout(2))


CLIENT = """
import time
from configsvc_client import Config
config = Config("checkout")
print("got", config.get("settings.timeout"), flush=True)
config.on_change(lambda changed: print("got", changed.get("settings.timeout"), flush=True))
time.sleep(300)
"""


def test_listen__a_child_with_the_client__follows_through_the_agent(launch, server, tmp_path):
    token = tmp_path / "local-token"
    pieces = ["--listen", "127.0.0.1:0", "--local-token-file", "local-token", "--env"]
    command = [sys.executable, "-c", CLIENT]
    agent = launch(*pieces, "--on-change", "none", "checkout", "--", *command)
    agent.says("got 1")
    assert token.stat().st_mode & 0o777 == 0o600
    server.wait_for("/stream")
    before = server.count("/stream")

    server.publish(timeout(2))

    agent.says("got 2")
    assert server.count("/stream") == before


def test_serve__until_it_is_ended(launch, server, short_folder):
    socket = short_folder / "agent.sock"
    agent = launch("--listen", f"unix:{socket}", "checkout", act="serve")
    wait_until(socket.exists)

    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as client:
        found = client.get("http://localhost/config/checkout").json()["config"]
    agent.process.terminate()

    assert found == timeout(1)
    assert agent.wait() == 0
    assert not socket.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cache-plain", "--reveal", "--cache-dir", "c"], "kept encrypted alone"),
        (["--cache-key-file", "short", "--cache-dir", "c"], "less than 32 bytes"),
        (["--cache-key-file", "open", "--cache-dir", "c"], "Others may read"),
        (["--listen", "127.0.0.1:0"], "need a token"),
    ],
)
def test_usage__unsafe__is_refused_before_anything_is_asked(
    launch, server, tmp_path, arguments, said
):
    (tmp_path / "short").write_bytes(b"x" * 31)
    (tmp_path / "open").write_bytes(b"x" * 32)
    (tmp_path / "open").chmod(0o644)

    agent = launch(*arguments, "--env", "checkout", "--", "true")

    assert agent.wait() == 2
    assert said in agent.log
    assert server.asked == []


def test_copy__of_a_key_file__opens_with_another_token(launch, server, tmp_path):
    (tmp_path / "key").write_bytes(os.urandom(32))
    (tmp_path / "key").chmod(0o600)
    pieces = ["--env", "--cache-dir", "kept", "--cache-key-file", "key", "checkout", "--"]
    assert launch(*pieces, "true").wait() == 0
    server.stop()

    agent = launch(*pieces, "sh", "-c", SHOW, environment={"CONFIGSVC_TOKEN": "csk_new"})

    agent.says("timeout=1 ")

"""The module for browsers and Node (``static/client``), in Node: the Python client's contract."""

import json
import os
import subprocess
import time
from pathlib import Path

import playwright
import pytest

from tests.agent.test_fetching import wait_until
from tests.serving import TOP

NODE = Path(playwright.__file__).parent / "driver" / "node"  # as the browser's driver brings it
MODULE = TOP / "static" / "client" / "configsvc.js"
TIMING = {
    "fetchTimeout": 3000,
    "readyWithin": 2000,
    "heartbeat": 2000,
    "stable": 200,
    "firstPause": 50,
    "longestPause": 200,
    "resyncJitter": 50,
    "pollWait": 2000,
    "pollEvery": 100,
    "streamFailures": 3,
    "streamAgain": 1000,
}
BEGIN = """
import { connect, ConfigError } from "MODULE";
const say = (value) => console.log(JSON.stringify(value));
const log = (level, text) => console.error(level, text);
const options = { url: process.env.SERVER, token: process.env.TOKEN, timing: TIMING, log };
const open = (more = {}) => connect("checkout", { ...options, ...more });
"""
FOLLOW = """
const config = await open();
say("open");
config.onChange((changed) => say([changed.version, changed.get("x"), changed.retired]));
"""


class Script:
    """A script in Node; ``said`` are the values that it printed so far."""

    def __init__(self, server, folder, text, **environment):
        begin = BEGIN.replace("MODULE", MODULE.as_uri()).replace("TIMING", json.dumps(TIMING))
        (folder / "script.mjs").write_text(begin + text)
        self.files = [folder / "said", folder / "log"]
        with self.files[0].open("w") as said, self.files[1].open("w") as log:
            self.process = subprocess.Popen(
                [NODE, folder / "script.mjs"],
                env={"PATH": os.environ["PATH"], "SERVER": server.url, "TOKEN": server.token}
                | environment,
                stdout=said,
                stderr=log,
            )

    @property
    def said(self):
        whole = self.files[0].read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def log(self):
        return self.files[1].read_text()

    def result(self):
        """Everything, once it ended well."""
        assert self.process.wait(60) == 0, self.log
        return self.said


@pytest.fixture
def node(server, tmp_path):
    started = []

    def node(text, **environment):
        started.append(Script(server, tmp_path, text, **environment))
        return started[-1]

    yield node
    for script in started:
        script.process.kill()
        script.process.wait()


def test_get__keys_of_all_kinds__give_values_with_their_types(server, node):
    server.publish({"settings": {"n": 1.5, "a.b": [1, {"c": None}], "__proto__": "own"}, "t": True})

    found = node(
        """
        const config = await open();
        const keys = ["settings.n", 'settings["a.b"][0]', 'settings["a.b"][1].c', "t", "nope.deeper",
          "settings.__proto__", "settings.constructor", 'settings["a.b"].length', "t.x"];
        say(keys.map((key) => config.get(key, "default")));
        config.get("settings").n = 9;
        config.document.t = false;
        say([config.get("settings.n"), config.get("t"), config.version, config.stale]);
        for (const bad of ["a..b", "a[", "[*]", ".a", 'a"b']) {
          try { say(config.get(bad)); } catch (error) { say(error.name); }
        }
        """
    ).result()

    default = "default"
    assert found[0] == [1.5, 1, None, True, default, "own", default, default, default]
    assert found[1] == [1.5, True, 2, False]
    assert found[2:] == ["SyntaxError"] * 5


def test_fetch__options_and_variables__are_sent(server, node, tmp_path):
    (tmp_path / "token").write_text("csk_right\n")
    node(
        'await connect("checkout", { instance: "node-7", unit: "ada", log });',
        CONFIGSVC_URL=f"{server.url}/",
        CONFIGSVC_TOKEN_FILE=str(tmp_path / "token"),
        CONFIGSVC_ENVIRONMENT="production",
    ).result()

    path, query, headers = server.asked[-1]
    sent = {name.lower(): value for name, value in headers.items()}
    assert (path, query) == ("/config/checkout", {"environment": "production"})
    assert sent["authorization"] == "Bearer csk_right"
    assert (sent["x-config-instance"], sent["x-config-unit"]) == ("node-7", "ada")


@pytest.mark.parametrize(
    ("more", "status"), [('{ token: "csk_no" }', 401), ('{ url: "http://127.0.0.1:9" }', 503)]
)
def test_connect__refused_or_away_without_a_copy__says_so(node, more, status):
    text = f"try {{ await open({more}); }} catch (error) {{ say([error.name, error.status]); }}"

    assert node(text).result() == [["ConfigError", status]]


def test_on_change__publish__calls_back_with_the_new_values(server, node):
    script = node(FOLLOW)
    server.wait_for("/stream")

    for number in (2, 3):
        server.publish({"x": number})
        wait_until(lambda number=number: [number, number, False] in script.said)

    assert script.said == ["open", [2, 2, False], [3, 3, False]]


def test_on_change__keys__hear_of_their_own_changes_alone(server, node):
    server.publish({"a": {"b": 1, "c": 1}, "db_x": 1, "l": [{"n": 1}], "q.r": 1, "[u]+": 1})
    patterns = ["a.b", "a.*", "a", "**", "db_*", "l[0].n", "l[*].n", '["q.r"]', "q.r", '["[u]+"]']
    script = node(
        f"""
        const config = await open();
        for (const key of {json.dumps(patterns)}) config.onChange(() => say(key), key);
        const end = config.onChange(() => say("ended"));
        end();
        """
    )
    server.wait_for("/stream")
    changes = [
        ({"a": {"b": 2, "c": 1}, "db_x": 1, "l": [{"n": 1}], "q.r": 1, "[u]+": 1}, "a.b a.* a **"),
        ({"a": {"b": 2, "c": 1}, "db_x": 2, "l": [{"n": 1}], "q.r": 1, "[u]+": 1}, "** db_*"),
        (
            {"a": {"b": 2, "c": 1}, "db_x": 2, "l": [{"n": 2}], "q.r": 1, "[u]+": 1},
            "** l[0].n l[*].n",
        ),
        (
            {"a": {"b": 2, "c": 1}, "db_x": 2, "l": [{"n": 2}], "q.r": 2, "[u]+": 2},
            '** ["q.r"] ["[u]+"]',
        ),
        (
            {"a": {"b": True, "c": 1}, "db_x": 2, "l": [], "q.r": 2, "[u]+": 2},
            "a.b a.* a ** l[0].n l[*].n",
        ),
    ]
    for document, expected in changes:
        before = len(script.said)
        server.publish(document)
        wait_until(
            lambda before=before, expected=expected: (
                len(script.said) >= before + len(expected.split())
            )
        )
        assert script.said[before:] == expected.split()


@pytest.mark.parametrize("fault", [None, "within a revision"])
def test_stream__cut__resumes_by_last_event_id_and_misses_nothing(server, node, fault):
    script = node(FOLLOW)
    server.wait_for("/stream")
    server.publish({"x": 2})
    wait_until(lambda: [2, 2, False] in script.said)

    server.stream_fault = fault
    if fault is None:
        server.stop()
    server.publish({"x": 3}, messages=3)
    if fault is None:
        server.start()
    wait_until(lambda: [3, 3, False] in script.said)

    server.wait_for("/stream", 2)
    assert script.said == ["open", [2, 2, False], [3, 3, False]]
    resumed = [headers for path, _query, headers in server.asked if path == "/stream"][-1]
    assert {k.lower(): v for k, v in resumed.items()}["last-event-id"].startswith("e1-")


@pytest.mark.parametrize("fault", ["silent", "ends", "mute", 404, 500])
def test_stream__does_not_get_through__polls_with_after(server, node, fault):
    if isinstance(fault, int):
        server.refuse["/stream"] = (fault, {}, b"{}")
    else:
        server.stream_fault = fault
    script = node(FOLLOW)
    wait_until(lambda: any("wait" in query for _path, query, _headers in list(server.asked)))

    server.publish({"x": 2})

    wait_until(lambda: [2, 2, False] in script.said)
    server.refuse.clear()
    server.stream_fault = None
    server.publish({"x": 3})
    wait_until(lambda: [3, 3, False] in script.said)


def test_stream__another_epoch_and_a_node_behind__follow_the_epoch_and_never_go_back(server, node):
    script = node(FOLLOW)
    server.wait_for("/stream")
    for number in range(2, 5):
        server.publish({"x": number})
    wait_until(lambda: [4, 4, False] in script.said)
    server.behind = ("e1", 1, {"x": 1})
    server.cut_connections()
    asked = server.count("/config/checkout")
    server.wait_for("/config/checkout", asked + 3)
    server.behind = None

    server.restore("e2", {"x": "restored"}, 3)

    wait_until(lambda: [3, "restored", False] in script.said)
    assert [1, 1, False] not in script.said


def test_retired__keeps_its_values_and_says_so(server, node):
    server.publish({"x": 2})
    script = node(FOLLOW)
    server.wait_for("/stream")

    server.retire()
    wait_until(lambda: [2, 2, True] in script.said)
    server.publish({"x": 4})

    wait_until(lambda: [4, 4, False] in script.said)


def test_copy__server_away__is_used_and_says_so(server, node, tmp_path):
    text = "const config = await open(); say([config.get('settings.timeout'), config.stale, config.version]);"
    assert node(text, CONFIGSVC_CACHE_DIR=str(tmp_path / "kept")).result() == [[1, False, 1]]
    server.stop()

    script = node(text, CONFIGSVC_CACHE_DIR=str(tmp_path / "kept"))

    assert script.result() == [[1, True, 1]]
    assert "using the copy" in script.log
    [file] = (tmp_path / "kept").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "other"])
def test_copy__damaged__is_none(server, node, tmp_path, damage):
    text = "try { await open(); say(1); } catch (error) { say(error.status); }"
    node(text, CONFIGSVC_CACHE_DIR=str(tmp_path / "kept")).result()
    server.stop()
    [file] = (tmp_path / "kept").iterdir()
    whole = file.read_text()
    damages = {
        "flipped": whole.replace('timeout\\":1', 'timeout\\":2'),
        "cut": whole[:-9],
        "empty": "",
        "other": whole.replace("checkout", "cart"),
    }
    assert damages[damage] != whole
    file.write_text(damages[damage])

    assert node(text, CONFIGSVC_CACHE_DIR=str(tmp_path / "kept")).result() == [503]


def test_copy__while_watching__is_kept_and_close_ends_the_process(server, node, tmp_path):
    script = node(
        """
        const config = await open();
        config.onChange(() => { config.close(); });
        """,
        CONFIGSVC_CACHE_DIR=str(tmp_path / "kept"),
    )
    server.wait_for("/stream")
    time.sleep(0.2)

    server.publish({"x": "kept"})

    script.result()
    [file] = (tmp_path / "kept").iterdir()
    assert json.loads(json.loads(file.read_text())["content"])["envelope"]["config"] == {
        "x": "kept"
    }


def test_callback__that_fails__is_logged_and_the_others_hear(server, node):
    script = node(
        """
        const config = await open();
        config.onChange(() => { throw new Error("mine"); });
        config.onChange(async () => { throw new Error("later"); });
        config.onChange(() => say("heard"));
        """
    )
    server.wait_for("/stream")

    server.publish({"x": 2})

    wait_until(lambda: script.said == ["heard"])
    wait_until(lambda: "mine" in script.log and "later" in script.log)

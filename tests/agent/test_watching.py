"""Following a configuration: streams, polls where they fail, and every fault in between."""

import threading
import time
from dataclasses import replace

import pytest

from tests.agent.conftest import IMPATIENT, SHORT
from tests.agent.test_fetching import wait_until


def follow(server, connect, **options):
    """A client whose stream is open, and the versions that its callback saw."""
    config, seen = connect(**options), []
    config.on_change(lambda changed: seen.append(changed.version))
    server.wait_for("/stream")
    server.wait_for("/config/checkout", 2)
    return config, seen


def test_stream__publish__calls_back_once_with_the_new_values(server, connect):
    config, seen = follow(server, connect)

    server.publish({"settings": {"timeout": 2}})

    wait_until(lambda: seen)
    time.sleep(0.3)
    assert (seen, config.get("settings.timeout")) == ([2], 2)
    assert server.count("/stream") == 1


def test_stream__act_of_three_messages__is_fetched_once(server, connect):
    _config, seen = follow(server, connect)
    before = server.count("/config/checkout")

    server.publish({"x": 2}, messages=3)

    wait_until(lambda: seen == [2])
    assert server.count("/config/checkout") == before + 1
    assert server.asked[-1][1]["min_revision"] == "e1-2"


def test_stream__cut_within_a_revision__resumes_in_front_of_it(server, connect):
    config, _seen = follow(server, connect)
    server.publish({"x": 2})
    wait_until(lambda: config.version == 2)
    server.stream_fault = "within a revision"

    server.publish({"x": 3}, messages=2)

    server.wait_for("/stream", 2)
    wait_until(lambda: config.version == 3)
    cursors = [asked[2].get("Last-Event-ID") for asked in server.asked if asked[0] == "/stream"]
    assert cursors[:2] == [None, "e1-2"]


def test_stream__server_restarted_on_its_port__misses_nothing(server, connect):
    config, seen = follow(server, connect)
    server.stop()
    server.publish({"x": 2})
    server.publish({"x": 3})

    server.start()

    wait_until(lambda: seen)  # which is told once the state is there
    assert (seen, config.get("x")) == ([3], 3)


def test_stream__another_epoch__takes_the_earlier_version(server, connect):
    config, seen = follow(server, connect)
    for number in range(2, 6):
        server.publish({"x": number})
    wait_until(lambda: config.version == 5)

    server.restore("e2", {"x": "restored"}, 3)

    wait_until(lambda: config.get("x") == "restored")
    assert config.version == 3
    wait_until(lambda: seen[-1:] == [3])  # all were told one after the other: the last is this one
    server.publish({"x": "after"})
    wait_until(lambda: config.get("x") == "after")


def test_stream__cursor_too_old__is_resynced(server, connect):
    config, _seen = follow(server, connect)
    server.stop()
    server.publish({"x": 2})
    server.oldest = server.revision
    server.start()

    wait_until(lambda: config.get("x") == 2)
    server.publish({"x": 3})

    wait_until(lambda: config.get("x") == 3)


def test_stream__node_that_is_behind__never_leads_back(server, connect):
    config, seen = follow(server, connect)
    server.publish({"x": 2})
    wait_until(lambda: config.version == 2)
    server.behind = ("e1", 1, {"x": 1})

    server.cut_connections()
    asked = server.count("/config/checkout")
    server.wait_for("/config/checkout", asked + 3)

    assert (config.get("x"), seen) == (2, [2])
    server.behind = None
    server.publish({"x": 3})
    wait_until(lambda: config.get("x") == 3)


def test_stream__other_node_is_in_the_next_epoch_already__takes_its_state(server, connect, caplog):
    config, _seen = follow(server, connect)
    server.behind = ("e2", 1, {"x": "restored"})

    server.publish({"x": 2})

    wait_until(lambda: config.get("x") == "restored")
    assert "The server refuses" not in caplog.text


def test_stream__goes_silent__is_opened_again(server, connect):
    server.stream_fault = "mute"
    config, _seen = follow(server, connect, timing=IMPATIENT)

    server.publish({"x": 2})

    server.wait_for("/stream", 2)
    wait_until(lambda: config.get("x") == 2)


@pytest.mark.parametrize("fault", ["silent", "ends", "mute", 404, 500, "html"])
def test_stream__does_not_get_through__polls_and_returns_later(server, connect, fault):
    if isinstance(fault, int):
        server.refuse["/stream"] = (fault, {}, b"{}")
    elif fault == "html":
        server.refuse["/stream"] = (200, {"Content-Type": "text/html"}, b"<html>")
    else:
        server.stream_fault = fault
    config = connect(
        timing=replace(IMPATIENT, stable=60.0)
    )  # a slow fetch makes no stream that works
    config.start()

    wait_until(lambda: any("wait" in asked[1] for asked in server.asked))
    server.publish({"x": 2})
    wait_until(lambda: config.get("x") == 2)

    server.refuse.clear()
    server.stream_fault = None
    streams = server.count("/stream")
    server.wait_for("/stream", streams + 1)
    server.publish({"x": 3})
    wait_until(lambda: config.get("x") == 3)


def test_poll__first_one_answered__waits_for_the_next_change_at_once(server, connect):
    server.refuse["/stream"] = (404, {}, b"{}")
    config = connect(timing=replace(SHORT, poll_every=60.0, stream_again=60.0))
    config.start()
    server.wait_for("/config/checkout", 3)

    server.publish({"x": 2})

    wait_until(lambda: config.get("x") == 2)  # the next poll would come a minute later


def test_poll__answered_at_once__does_not_hammer(server, connect):
    server.refuse["/stream"] = (404, {}, b"{}")
    config = connect()
    server.refuse["/config/checkout"] = (304, {}, b"")
    began = time.monotonic()
    config.start()
    server.wait_for("/config/checkout", 8)

    assert time.monotonic() - began >= 5 * SHORT.poll_every / 2
    server.refuse.pop("/config/checkout")
    server.publish({"x": 2})
    wait_until(lambda: config.get("x") == 2)


@pytest.mark.parametrize("status", [500, 429, 403])
def test_fetch__fails_after_an_event__is_tried_until_it_succeeds(server, connect, status):
    config, _seen = follow(server, connect)
    server.refuse["/config/checkout"] = (status, {"Retry-After": "0"}, b"{}")

    server.publish({"x": 2})
    asked = server.count("/config/checkout")
    server.wait_for("/config/checkout", asked + 2)
    assert config.get("settings.timeout") == 1
    server.refuse.clear()

    wait_until(lambda: config.get("x") == 2)


def test_token__withdrawn__keeps_the_state_and_says_so_once(server, connect, caplog):
    config, _seen = follow(server, connect)
    server.token = "csk_other"

    server.cut_connections()

    server.wait_for("/stream", 4)
    assert config.get("settings.timeout") == 1
    assert caplog.text.count("The server refuses") == 1
    assert "csk_right" not in caplog.text


def test_retired__then_rolled_back__keeps_and_tells(server, connect, caplog):
    config, seen = follow(server, connect)

    server.retire()
    wait_until(lambda: config.retired and seen)
    assert (config.get("settings.timeout"), seen) == (1, [1])
    wait_until(lambda: "retired" in caplog.text)

    server.publish({"x": 3})
    wait_until(lambda: config.get("x") == 3)
    assert not config.retired


def test_on_change__keys__hear_of_their_own_changes_alone(server, connect):
    server.publish({"a": {"x": 1, "y": 1}, "b": 1})
    config = connect()
    heard = {key: [] for key in ("a", "a.x", "a.**", "*.y", "b")}
    for key, calls in heard.items():
        config.on_change(lambda changed, calls=calls: calls.append(changed.get("a.x")), key)
    server.wait_for("/stream")

    server.publish({"a": {"x": True, "y": 1}, "b": 1})

    wait_until(lambda: heard["a"] and heard["a.x"] and heard["a.**"])
    assert heard == {"a": [True], "a.x": [True], "a.**": [True], "*.y": [], "b": []}


def test_on_change__callback_fails__the_others_and_the_thread_live(server, connect, caplog):
    config = connect()
    seen = []
    config.on_change(lambda _changed: 1 / 0)
    config.on_change(lambda changed: seen.append(changed.version))
    server.wait_for("/stream")

    server.publish({"x": 2})
    wait_until(lambda: seen == [2])
    server.publish({"x": 3})

    wait_until(lambda: seen == [2, 3])
    assert "ZeroDivisionError" in caplog.text


def test_on_change__callback_uses_the_config__no_lock_is_held(server, connect):
    config, done = connect(), threading.Event()

    def callback(changed):
        changed.on_change(lambda _changed: None)
        other = threading.Thread(target=lambda: (changed.get("x"), changed.start()))
        other.start()
        other.join(20)
        assert not other.is_alive()
        changed.close()
        done.set()

    config.on_change(callback)
    server.wait_for("/stream")
    server.publish({"x": 2})

    assert done.wait(20)


def test_on_change__bad_pattern__is_refused(connect):
    with pytest.raises(ValueError, match="no key"):
        connect().on_change(print, "a..b")


@pytest.mark.parametrize("stage", ["stream", "poll", "away"])
def test_close__whatever_is_under_way__ends_at_once(server, connect, stage):
    config = connect()
    if stage == "poll":
        server.refuse["/stream"] = (404, {}, b"{}")
    config.start()
    server.wait_for("/stream")
    if stage == "away":
        server.stop()
    time.sleep(0.3)
    threads = [each for each in threading.enumerate() if each.name == "configsvc-client"]

    began = time.monotonic()
    config.close()

    assert time.monotonic() - began < 20
    assert not any(each.is_alive() for each in threads)


def test_start__after_close_and_twice__follows_again_with_one_thread(server, connect):
    config = connect()
    config.start()
    config.start()
    config.close()
    server.publish({"x": 2})

    with config:
        wait_until(lambda: config.get("x") == 2)
        running = [each for each in threading.enumerate() if each.name == "configsvc-client"]
        assert len(running) == 1


def test_get__read_while_it_is_replaced__sees_whole_states(server, connect):
    server.publish({"a": 0, "b": 0})
    config = connect()
    config.start()
    server.wait_for("/stream")
    torn, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            document = config.document
            if document["a"] != document["b"]:
                torn.append(document)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for each in readers:
        each.start()
    for number in range(1, 40):
        server.publish({"a": number, "b": number})
        time.sleep(0.005)
    wait_until(lambda: config.get("a") == 39)
    stop.set()
    for each in readers:
        each.join()

    assert torn == []

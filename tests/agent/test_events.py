"""Server-sent events, however they are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc_client import events
from configsvc_client.events import Event, EventReader, Position

STREAM = (
    "\ufeff: a comment\r\nretry: 2500\r\nevent: ready\r\n"
    'data: {"epoch":"7f3a",\r\ndata:"revision":1}\r\n\r\n'
    "event: changed\ndata: {}\n\n"
    "id: 7f3a-2\revent: changed\rdata: ü€\r\r"
    "id: 7f3a-3\n\n:\n\nid: bad\0id\nunknown: x\ndata\n\n"
    "event: changed\ndata: never closed"
).encode()

READ = [
    Event("ready", '{"epoch":"7f3a",\n"revision":1}', ""),
    Event("changed", "{}", ""),
    Event("changed", "ü€", "7f3a-2"),
    Event("", "", "7f3a-3"),
    Event("message", "", ""),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_feed__cut_anywhere__gives_the_same_events(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    reader, read = EventReader(), []

    for start, end in itertools.pairwise(edges):
        read += reader.feed(STREAM[start:end])

    assert read == READ
    assert reader.retry == 2.5


def test_feed__endless_event__is_refused(monkeypatch):
    monkeypatch.setattr(events, "MAX_EVENT", 1000)

    with pytest.raises(ValueError, match="too long"):
        list(EventReader().feed(b"data: " + b"x" * 2000))
    with pytest.raises(ValueError, match="too long"):
        list(EventReader().feed(b"data: 0123456789\n" * 200))


@pytest.mark.parametrize("text", ["", "12", "7f3a-", "7f3a-x", "-5", "7f3a-²"])
def test_position__no_epoch_and_revision__is_refused(text):
    with pytest.raises(ValueError, match="EPOCH-REVISION"):
        Position.parse(text)


def test_position__epoch_with_dashes__round_trips():
    assert str(Position.parse("a-b-12")) == "a-b-12"
    assert Position.parse("a-b-12") == Position("a-b", 12)

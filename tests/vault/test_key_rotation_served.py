"""Keys change under a server at work: each read is right at every moment, and each write succeeds."""

import itertools
import random
import threading

import pytest

from tests.serving import installation

pytestmark = pytest.mark.servers

ROUNDS = 12 if pytest.long_form else 1
SECRETS = 60 if pytest.long_form else 8
READERS, WRITERS = 1, 2
PAUSE = 0.1  # seconds after each write, all of whose versions are wrapped again
HERE = "environment=production"


class Work:
    """Threads that read and write secrets until ``ended``; what went wrong is in ``faults``.

    ``written`` has each secret's values in their order, a value before it is sent; ``done`` how
    many of them have been answered.
    """

    def __init__(self, server, raw):
        self.server, self.raw = server, raw
        self.names = [f"s{number}" for number in range(SECRETS)]
        self.written = {name: [] for name in self.names}
        self.done = dict.fromkeys(self.names, 0)
        self.ended = threading.Event()
        self.faults, self.turns = [], dict.fromkeys(("write", "read", "fetch"), 0)

    def write(self, client, name):
        value = f"{name} value {len(self.written[name])}"
        self.written[name].append(value)
        if len(self.written[name]) == 1:
            body = {"service": "shop", "environment": "production", "name": name, "value": value}
            answer = client.post("/secrets", json=body)
        else:
            answer = client.post(f"/secrets/shop/{name}/versions?{HERE}", json={"value": value})
        if answer.status_code != 201:
            self.faults.append(("write", name, answer.text))
        self.done[name] = len(self.written[name])

    def check(self, name, done, value):
        """``value`` is one that was current between the reading's begin, with ``done``, and now."""
        if value not in self.written[name][done - 1 :]:
            self.faults.append(("read", name, done, value))

    def keep_writing(self, client, number):
        for name in itertools.cycle(self.names[number::WRITERS]):
            if self.ended.is_set():
                return
            self.write(client, name)
            self.turns["write"] += 1
            self.ended.wait(PAUSE)

    def keep_reading(self, client, number):
        chance = random.Random(number)
        while not self.ended.is_set():
            name = chance.choice(self.names)
            done = self.done[name]
            answer = client.post(f"/secrets/shop/{name}/reveal?{HERE}", json={})
            if answer.status_code != 200:
                self.faults.append(("read", name, answer.text))
            else:
                self.check(name, done, answer.json()["value"])
            self.turns["read"] += 1

    def keep_fetching(self, client, _number):
        while not self.ended.is_set():
            done = dict(self.done)
            answer = client.get(f"/config/shop?{HERE}&reveal=true")
            if answer.status_code != 200:
                self.faults.append(("fetch", answer.text))
                continue
            for name, value in answer.json()["config"].items():
                self.check(name, done[name], value)
            self.turns["fetch"] += 1

    def run(self, act, number):
        try:
            with self.server.client(self.raw) as client:
                act(client, number)
        except Exception as error:  # a thread's own would be lost
            self.faults.append(error)


ROTATE = ("rotate_keys", "--new-key", "--forget-unused", "--batch", "5")
WITHIN = (
    1_200  # what is written meanwhile is wrapped again too, on a machine that does more than that
)


def test_rotate_keys__beside_readers_and_writers__loses_no_read_and_leaves_one_key():
    with installation() as made:
        server = made.start()
        key_file = made.folder / "keys" / "encryption.key"
        work = Work(server, made.raw)
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"})
            for name in work.names:
                work.write(client, name)
            config = {name: {"$secret": name} for name in work.names}
            body = {"environment": "production", "config": config}
            assert client.post("/config/shop", json=body).status_code == 201
        first = key_file.read_text()
        threads = [
            threading.Thread(target=work.run, args=(act, number))
            for act, count in (
                (work.keep_writing, WRITERS),
                (work.keep_reading, READERS),
                (work.keep_fetching, 1),
            )
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in range(ROUNDS):
                told = made.manage(*ROTATE, within=WITHIN)
                assert "Removed key" in told.stdout
        finally:
            work.ended.set()
            for thread in threads:
                thread.join()

        assert work.faults == []
        assert all(work.turns.values()), work.turns
        assert len(key_file.read_text().split()) == 1
        assert key_file.read_text() != first
        with server.client(made.raw) as client:
            for name in work.names:
                answer = client.post(f"/secrets/shop/{name}/reveal?{HERE}", json={})
                assert answer.json()["value"] == work.written[name][-1]

"""Archives between random acts: each restores what was there when it was made, and from a restored
one every point in time before it is reached.
"""

import json
import random
from dataclasses import dataclass

import pytest

from tests.backups.elsewhere import elsewhere, empty
from tests.backups.rows import LEDGER, SERVES, differing, read_rows
from tests.commands import Commands
from tests.serving import installation

pytestmark = pytest.mark.servers(database=pytest.long_form)  # the short form on one database
RESTORES, POINTS, SERVED = (50, 200, 5) if pytest.long_form else (1, 3, 1)
ACTS = 300 if pytest.long_form else 8
ARCHIVES = 60 if pytest.long_form else 2
MERGE = {"Content-Type": "application/merge-patch+json"}
ENVIRONMENTS = ("development", "staging", "production")


@dataclass
class Then:
    """What was served after an act: its revision, its time, and the documents by their place."""

    revision: int
    at: str
    documents: dict


class Acts:
    """Random acts over REST, and what was served after each."""

    def __init__(self, client, chance):
        self.client, self.chance = client, chance
        self.services, self.number, self.known = [], 0, []

    def act(self):
        """Do one, whatever comes of it, and note what is served now."""
        self.number += 1
        kinds = [self.publish] * 6 + [self.change] * 6 + [self.retire, self.back, self.secret]
        kind = self.service if len(self.services) < 2 else self.chance.choice([*kinds, self.right])
        answer = kind()
        assert answer.status_code < 500, answer.text
        last = self.client.get("/audit?page_size=1").json()["results"][0]
        self.known.append(Then(last["revision"], last["at"], documents(self.client, self.services)))

    def place(self):
        return self.chance.choice(self.services), self.chance.choice(ENVIRONMENTS)

    def service(self):
        self.services.append(f"random-{self.number}")
        return self.client.post("/services", json={"slug": self.services[-1]})

    def publish(self):
        service, environment = self.place()
        config = {"n": self.number, "text": "ä€\n" * self.chance.randrange(9), "deep": {"x": [1.5]}}
        body = {"environment": environment, "config": config, "on_stale": "overwrite"}
        return self.client.post(f"/config/{service}", json=body)

    def change(self):
        service, environment = self.place()
        change = {f"key{self.chance.randrange(5)}": self.chance.choice([None, self.number, "yes"])}
        path = f"/config/{service}?environment={environment}"
        return self.client.patch(path, content=json.dumps(change), headers=MERGE)

    def retire(self):
        service, environment = self.place()
        return self.client.delete(f"/config/{service}?environment={environment}")

    def back(self):
        service, environment = self.place()
        return self.client.post(f"/config/{service}/rollback", json={"environment": environment})

    def secret(self):
        service, environment = self.place()
        body = {"service": service, "environment": environment, "name": f"secret-{self.number}"}
        return self.client.post("/secrets", json={**body, "value": f"hidden {self.number}"})

    def right(self):
        account = {"slug": f"account-{self.number}", "environment": "production"}
        return self.client.post("/service-accounts", json=account)


def documents(client, services):
    """The effective documents that are served."""
    found = {}
    for service in services:
        for environment in ENVIRONMENTS:
            answer = client.get(f"/config/{service}?environment={environment}")
            if answer.status_code == 200:
                found[service, environment] = answer.json()["config"]
    return found


@pytest.fixture(scope="module")
def history():
    """An installation that a lot was done on, its archives with the rows that they were made of."""
    chance = random.Random(20261127)
    with installation() as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        server = made.start()
        with Commands(made.environment) as commands, server.client(made.raw) as client:
            acts, archives = Acts(client, chance), []
            every = ACTS // ARCHIVES
            for number in range(ACTS):
                acts.act()
                if number % every == every - 1:
                    archives.append(_archive(made, commands, acts, full=chance.random() < 0.2))
        for each in made.servers:
            each.stop()
        yield made, acts, archives, chance


def _archive(made, commands, acts, full):
    """Make one; its name, how many acts it holds, and the rows of then."""
    segment = [] if full else ["--segment"]
    rows = read_rows(made.environment)
    name = commands("backup", "create", *segment).split()[0]
    return name, len(acts.known), rows


def test_restore__of_archives_at_random__is_what_was_then_to_each_act(history):
    made, acts, archives, chance = history
    points = 0
    with elsewhere(made) as other, Commands(other.environment) as commands:
        for number in range(RESTORES):
            name, count, rows = chance.choice(archives)
            empty(other)

            said = commands("backup", "restore", name, "--yes")

            restored = read_rows(other.environment)
            assert differing(rows, restored) <= SERVES, (name, said)
            assert len(restored[LEDGER]) == len(rows[LEDGER]) + 1  # that it was restored
            commands("audit", "verify")
            if number < SERVED:
                commands("backup", "confirm", "--yes")
                points += _go_to_points(other, acts.known[:count], chance, acts.services)
    assert points == POINTS


def _go_to_points(other, known, chance, services):
    """From a restored installation to acts, by revision and by time; how many."""
    count = POINTS // SERVED
    with other.start().client(other.raw) as client:
        there = {each["slug"] for each in client.get("/services?page_size=200").json()["results"]}
        for _each in range(count):
            then = chance.choice(known)
            body = {"at": chance.choice([then.revision, then.at]), "absent": "retire"}
            answer = client.post("/rollback", json=body)
            assert answer.status_code in (200, 201), answer.text
            assert answer.json()["at"]["revision"] == then.revision
            assert documents(client, [each for each in services if each in there]) == then.documents
    other.servers.pop().stop()
    return count

"""The ledger as it is in the database, read by SQL and by none of the product's code."""

import json
import re
import threading
import time

import psycopg

from tests.faults.guarantees import Act, Change, Held, Ledger, Moment

EVENTS = """
    SELECT number, revision, extract(epoch FROM at)::float8, action, target, data
    FROM audit_auditevent ORDER BY number
"""
END = "SELECT coalesce(max(number), 0) FROM audit_auditevent"
EPOCH = "SELECT epoch FROM audit_head"
PLACE = re.compile(r"(.+)@(.+)")
ASK_EVERY = 0.05


def read_ledger(connection, ends=()):
    """The ledger, and the rights to read that it says each account has had, by the account's name."""
    acts, rights = {}, {}
    for _number, revision, at, action, target, text in connection.execute(EVENTS):
        data = json.loads(text)
        if action.startswith("configuration."):
            acts.setdefault(revision, (at, []))[1].append(change_of(data))
        elif action == "grant.given":
            rights.setdefault(target, []).append(_held(data, Moment(revision, at)))
        elif action == "grant.withdrawn":
            _withdraw(rights[target], _held(data, Moment(revision, at)))
    (epoch,) = connection.execute(EPOCH).fetchone()
    found = [Act(revision, at, tuple(changes)) for revision, (at, changes) in acts.items()]
    return Ledger(epoch, found, list(ends)), rights


def change_of(message):
    """What happened, of an event's data or of a message that was pushed."""
    names = ("service", "environment", "version", "checksum", "keys", "cause")
    service, environment, version, checksum, keys, cause = (message[name] for name in names)
    return Change(service, environment, version, checksum, tuple(keys), cause)


def _held(data, moment):
    """All grants here are of the role of a reader, without a key rule and without an end."""
    service, environment = PLACE.fullmatch(data["on"]).groups()
    return Held(
        None if service == "*" else service, None if environment == "*" else environment, moment
    )


def _withdraw(held, withdrawn):
    for at, each in enumerate(held):
        if each[:2] == withdrawn[:2] and each.withdrawn is None:
            held[at] = each._replace(withdrawn=withdrawn.given)
            return
    raise AssertionError(f"{withdrawn} was never given.")


class Ends(threading.Thread):
    """Asks all the time where the ledger ends; ``found`` is the moments before and the answers."""

    def __init__(self, **where):
        super().__init__(daemon=True)
        self.found = []
        self._where, self._enough = where, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self._enough.set()
        self.join(10)

    def run(self):
        with psycopg.connect(**self._where, autocommit=True) as connection:
            while not self._enough.wait(ASK_EVERY):
                at = time.time()
                self.found.append((at, connection.execute(END).fetchone()[0]))

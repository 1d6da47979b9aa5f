"""Whatever of backups is killed at whatever moment leaves the old state or the new one, and nothing
that stays: the next run of the same succeeds.
"""

import random

import pytest

from tests.backups.elsewhere import await_alone, backups
from tests.backups.rows import LEDGER, SERVES, differing, read_rows
from tests.commands import Commands
from tests.serving import installation

pytestmark = pytest.mark.servers(database=pytest.long_form)  # the short form on one database
ROUNDS = 17 if pytest.long_form else 1
chance = random.Random(20261127)


@pytest.fixture(scope="module")
def shop():
    with installation(demo=True) as made:
        made.environment["CONFIGSVC_BACKUP_KEEP"] = "1h"
        with Commands(made.environment) as commands:
            made.commands = commands
            made.longest = {}
            commands("backup", "create")
            yield made


def names(made):
    return {each.name for each in backups(made).glob("*.configsvc") if each.name[0] != "."}


def moved(made):
    """Something happens, so that the next segment is one."""
    account = f"account-{chance.randrange(16**12):x}"
    made.commands("create_token", account, "--environment", "production", "--grant", "viewer")


def kill(made, *arguments):
    """Run a command, and kill it at a moment of its last run's time; whether it was killed."""
    kind = arguments[:2]
    longest = made.longest.get(kind, 0.4)
    status, seconds, said = made.commands.ask(*arguments, within=chance.uniform(0, longest))
    assert status in (0, -9), said
    await_alone(made)
    if status == 0:
        made.longest[kind] = seconds
    return status != 0


def again(made, *arguments):
    """The next run of the same, which succeeds and clears up."""
    status, seconds, said = made.commands.ask(*arguments)
    assert status == 0, said
    made.longest[arguments[:2]] = seconds
    require_nothing_left(made)
    return said


def require_nothing_left(made):
    left = {each.name for each in backups(made).iterdir()} - names(made)
    assert left <= {".lock", ".chain.json"}
    found = {each.name for each in made.folder.iterdir() if "restoring" in each.name}
    assert found == set()


def require_whole(made, archives):
    for name in archives:
        assert "is whole" in made.commands("backup", "verify", name)


@pytest.mark.parametrize("kind", ["full", "segment"])
def test_create__killed__the_archive_is_whole_or_not_there(shop, kind):
    command = ("backup", "create", *(["--segment"] if kind == "segment" else []))
    for _round in range(ROUNDS):
        moved(shop)
        before = names(shop)
        kill(shop, *command)
        there = names(shop)
        assert there >= before
        assert len(there - before) <= 1
        require_whole(shop, there - before)

        moved(shop)
        said = again(shop, *command)

        [made] = names(shop) - there
        assert made == said.split()[0]
        require_whole(shop, [made])


def test_verify__killed__has_changed_nothing(shop):
    for _round in range(ROUNDS):
        before, archives = read_rows(shop.environment), names(shop)
        kill(shop, "backup", "verify")
        assert (read_rows(shop.environment), names(shop)) == (before, archives)

        assert "is whole" in again(shop, "backup", "verify")


def test_prune__killed__the_rest_can_be_restored(shop):
    for _round in range(ROUNDS):
        for _each in range(2):
            shop.commands("backup", "create")
            moved(shop)
            shop.commands("backup", "create", "--segment")
        before = names(shop)
        plan = [line.split() for line in shop.commands("backup", "prune", "--dry-run").splitlines()]
        kept = {words[0] for words in plan if words[1] == "kept:"}
        assert kept < before
        kill(shop, "backup", "prune")
        there = names(shop)
        assert kept <= there <= before
        require_whole(shop, there)

        again(shop, "backup", "prune")

        assert names(shop) == kept
        shop.commands("audit", "verify")


@pytest.mark.long_form
def test_drill__killed__has_changed_nothing(shop):
    shop.longest["drill",] = 3
    newest = max(names(shop))
    for number in range(ROUNDS):
        before, archives = read_rows(shop.environment), names(shop)
        kill(shop, "drill", newest, str(backups(shop) / f".drill-{number}"))
        assert (read_rows(shop.environment), names(shop)) == (before, archives)

        again(shop, "drill", newest, str(backups(shop) / f".drill-again-{number}"))

        assert (read_rows(shop.environment), names(shop)) == (before, archives)


@pytest.mark.long_form
def test_restore__killed__is_the_old_database_or_the_new_one(shop):
    """The short form is in ``tests/flows/test_after_restore.py``."""
    shop.longest["backup", "restore"] = 10
    reached = set()
    for _round in range(ROUNDS):
        name = shop.commands("backup", "create").split()[0]
        new = read_rows(shop.environment)
        del new[LEDGER][-1]  # that the archive was made
        moved(shop)
        old = read_rows(shop.environment)
        kill(shop, "backup", "restore", name, "--yes")
        now = read_rows(shop.environment)
        assert now == old or differing(new, now) <= SERVES
        reached.add("old" if now == old else "new")
        shop.commands("audit", "verify")
        kept = len(list(shop.folder.glob("*.before-*")))

        again(shop, "backup", "restore", name, "--yes")

        assert differing(new, read_rows(shop.environment)) <= SERVES
        shop.commands("audit", "verify")
        if not shop.is_postgres:
            assert len(list(shop.folder.glob("*.before-*"))) <= kept + 1
    assert "old" in reached

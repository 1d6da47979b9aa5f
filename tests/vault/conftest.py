"""What the tests of rotation share."""

from datetime import timedelta

import pytest

from apps.core import clock, jobs, runner
from tests.vault import transit_server

LATER = timedelta(hours=2)


@pytest.fixture
def place(shop):
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment

    return Place(shop, get_environment("production"))


@pytest.fixture
def transit():
    with transit_server.serving() as state:
        yield state


@pytest.fixture
def in_transit(transit, settings):
    """A Transit engine that keeps the keys of this installation."""
    settings.KEY_PROVIDER = {
        **settings.KEY_PROVIDER,
        "wraps": "transit",
        "transit_url": transit.url,
        "transit_token": transit_server.TOKEN,
    }
    return transit


@pytest.fixture
def make_secret(system, place):
    """Makes a secret: ``make_secret("pin", rotation={"rotator": "password"})``."""
    from apps.vault import services

    def make(slug="pin", value="first value", **more):
        return services.create_secret(actor=system, place=place, slug=slug, value=value, **more)

    return make


@pytest.fixture
def value_of(system):
    """The value at a stage of a secret, opened as a reader would."""
    from apps.vault.versions import find_stage, open_version

    def value(secret, stage="current"):
        version = find_stage(secret, stage)
        return None if version is None else open_version(system, version)

    return value


@pytest.fixture
def rotate(system):
    """Begins a rotation, and does what is due until nothing is."""
    from apps.vault.schedules import begin_rotation

    def run(secret, **more):
        begun = begin_rotation(actor=system, secret=secret, **more)
        runner.run_due(now=clock.now() + LATER)
        begun.refresh_from_db()
        return begun

    return run


@pytest.fixture
def rotator():
    """Registers a rotator of the test's own, which notes its steps in ``done``."""
    from apps.vault import rotators
    from apps.vault.rotators.base import Rotator

    class Noting(Rotator):
        name = "noting"
        title = "Noting"

        def __init__(self):
            self.done = []
            self.made = 0
            self.on = {}

        def _note(self, step, task):
            self.done.append(step)
            self.on.get(step, lambda _task: None)(task)

        def create(self, task):
            self.made += 1
            self._note("create", task)
            return f"made-{self.made}"

        def set(self, task):
            self._note("set", task)

        def test(self, task):
            self._note("test", task)

        def finish(self, task):
            self._note("finish", task)

    made = Noting()
    rotators.ROTATORS[made.name] = made
    yield made
    del rotators.ROTATORS[made.name]


def destroyed(secret):
    """The numbers of the versions whose keys are gone."""
    return sorted(secret.versions.filter(wrapped__isnull=True).values_list("number", flat=True))


def stages(secret):
    """Which version each stage points to."""
    return dict(secret.stages.values_list("stage", "version__number"))


def due(kind):
    return jobs.list_jobs("due").filter(kind=kind)


def run_at_once(pk):
    """Do one job now in this thread."""
    runner.run(jobs.claim(runner.process_name(), pk=pk))

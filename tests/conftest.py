"""What all tests share: real databases, actors with rights, and an API client."""

import contextlib
import gc
import os
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.test import TransactionTestCase
from hypothesis import settings as hypothesis

from apps.core import appendonly
from tests.limits import examples
from tests.serving import shared_folder
from tests.starting import quick_starts

DATABASE_FIXTURES = {"db", "transactional_db"}
ON_SQLITE = (
    "tests/agent/",
    "tests/portal/",
    "tests/audit/test_acts.py",
    "tests/contracts/test_graph_matrix.py",
    "tests/contracts/test_portal_matrix.py",
    "tests/contracts/test_project.py::test_at",
    "tests/contracts/test_project.py::test_openapi",
    "tests/contracts/test_rights_matrix.py",
    "tests/contracts/test_stream_matrix.py",
    "tests/access/test_explaining.py",
    "tests/api/test_escalation.py",
    "tests/api/test_flag_list.py",
    "tests/api/test_graphql_acts.py",
    "tests/api/test_graphql_flags.py",
    "tests/api/test_graphql_fuzz.py",
    "tests/api/test_graphql_rights.py",
    "tests/api/test_key_paths.py",
    "tests/api/test_ofrep.py",
    "tests/api/test_reference_rights.py",
    "tests/flows/test_demo_data.py",
    "tests/flows/test_hidden_graphs.py",
    "tests/flows/test_hidden_values.py",
    "tests/vault/test_key_providers.py",
    "tests/vault/test_transit.py",
)
"""What the short form runs on SQLite alone: the client, the pages, which the browser's tests open
on PostgreSQL, who is answered what, and where keys come from, which no database decides.
"""
WAITS = (
    "tests/agent/test_fetching.py",
    "tests/agent/test_module.py",
    "tests/agent/test_running.py",
    "tests/agent/test_serving.py",
    "tests/agent/test_streaming.py",
    "tests/agent/test_watching.py",
    "tests/audit/test_sinks.py",
    "tests/core/test_outgoing.py",
    "tests/delivery/test_watch.py",
    "tests/flows/test_ofrep_served.py",
    "tests/flows/test_sentinel.py",
    "tests/flows/test_watch.py",
    "tests/flows/test_without_database.py",
    "tests/vault/test_transit.py",
)
"""What waits for clocks more than it works, and leaves a core to what runs beside it."""
SAMPLE = (0, 0.5, 1)
SAYS_WHAT_MODELS_THERE_ARE = {"django_content_type", "auth_permission"}
TOP = Path(__file__).resolve().parent
OBJECTS_BETWEEN_COLLECTIONS = 50_000  # the heap is large, and looked through again and again


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long form of the fault tests")
    parser.addoption(
        "--database-only",
        action="store_true",
        help="only tests that touch the database; without --long few of many parameters",
    )


def pytest_configure(config):
    pytest.long_form = config.getoption("--long")
    # where a test does not say how many; and the clock of a shared machine says nothing
    hypothesis.register_profile("own", max_examples=examples(100), deadline=None)
    hypothesis.load_profile("own")
    running = contextlib.ExitStack()
    config.add_cleanup(running.close)
    running.enter_context(quick_starts())
    if not hasattr(config, "workerinput"):  # workers of a parallel run share their parent's
        running.enter_context(shared_folder())


def pytest_ignore_collect(collection_path, config):
    """Do not even import what a run would deselect whole: it takes seconds in each process."""
    if collection_path.parent != TOP or not collection_path.is_dir():
        return None
    only, browsers = config.option.markexpr, collection_path.name == "browser"
    if (only == "browser" and not browsers) or (only == "not browser" and browsers):
        return True
    left_out = {"engine"} if config.getoption("--long") else {"engine", "agent", "portal"}
    return (
        True if config.getoption("--database-only") and collection_path.name in left_out else None
    )


def pytest_collection_finish():
    """What is loaded by now stays until the end: the garbage collector need not look at it."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: item.get_closest_marker("servers") is None)  # the slow ones first
    items[:] = _spread(items)
    if not pytest.long_form:
        _deselect(config, items, "long_form")
    if "DATABASE_URL" not in os.environ:
        _deselect(config, items, "postgresql")
    if not config.getoption("--database-only"):
        return
    keep = [item for item in items if _touches_the_database(item)]
    if not pytest.long_form:
        keep = _sampled([item for item in keep if not item.nodeid.startswith(ON_SQLITE)])
    kept = set(keep)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = keep


def _spread(items):
    """The same with the modules that wait evenly among the others, where workers share them all."""
    modules, waiting = {}, {}
    for item in items:
        path = item.nodeid.partition("::")[0]
        (waiting if path in WAITS else modules).setdefault(path, []).append(item)
    if not waiting:
        return items
    order = [(at / len(modules), each) for at, each in enumerate(modules.values())]
    order += [(at / len(waiting), each) for at, each in enumerate(waiting.values())]
    order.sort(key=lambda placed: placed[0])
    return [item for _place, each in order for item in each]


def _deselect(config, items, marker):
    """Leave out those that are marked so."""
    gone = [each for each in items if each.get_closest_marker(marker)]
    config.hook.pytest_deselected(items=gone)
    items[:] = [each for each in items if each not in gone]


def _touches_the_database(item):
    if item.get_closest_marker("django_db"):
        return True
    if DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
        return True
    serves = item.get_closest_marker("servers") or item.get_closest_marker("browser")
    return serves and serves.kwargs.get("database", True)


def _sampled(items):
    """The same with the first, the middle and the last of each test's many parameters.

    ``each_database`` marks tests whose parameters are each a way of their own to the database.
    """
    found = {}
    for item in items:
        found.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = set()
    for same in found.values():
        whole = len(same) <= len(SAMPLE) or same[0].get_closest_marker("each_database")
        kept.update(same if whole else [same[int(at * (len(same) - 1))] for at in SAMPLE])
    return [item for item in items if item in kept]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    """Tables from the models: a twentieth of the migrations' time, and the same tables.

    tests/backups/test_schema.py compares them, and real servers are started on migrations.
    """
    connection.settings_dict["TEST"]["MIGRATE"] = False


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    from apps.delivery.schema import finish_tables

    with django_db_blocker.unblock():
        finish_tables(MigrationLoader(None).graph.nodes)
        first_rows()


@pytest.fixture(scope="session", autouse=True)
def _quick_flush():
    """What transactional tests leave goes in a tenth of the time that Django's flush takes."""
    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: empty_tables())
    yield
    patch.undo()


def empty_tables():
    """Every table as it was at first, append-only ones too, with their triggers.

    Rows are deleted: to truncate nearly empty tables costs PostgreSQL files for each of them. And
    what says only which models there are stays, which Django's flush makes again row by row.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # neither triggers nor foreign keys meanwhile
            cursor.execute("SET LOCAL session_replication_role = replica")
        else:
            for table in appendonly.append_only_tables():
                cursor.execute(f'SELECT 1 FROM "{table}" LIMIT 1')  # noqa: S608 - our own
                if cursor.fetchone():
                    appendonly.drop_triggers(connection, table)
        names = sorted(connection.introspection.django_table_names())
        for table in names:
            if table not in SAYS_WHAT_MODELS_THERE_ARE:
                cursor.execute(f'DELETE FROM "{table}"')  # noqa: S608 - our own
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        missing = appendonly.list_missing_triggers(connection)
        for table in appendonly.append_only_tables():
            if any(name.startswith(f"{table}_no_") for name in missing):
                appendonly.create_triggers(connection, table)
        first_rows()


def first_rows():
    """The rows that migrations make, in empty tables."""
    import datetime
    import secrets

    from apps.access.models import AccessGeneration
    from apps.audit.models import Head
    from apps.registry.models import INSTALLATION, Composition, Environment

    started = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    Head.objects.create(pk=1, at=started, hash="0" * 64, epoch=secrets.token_hex(4))
    Composition.objects.create(pk=1)
    AccessGeneration.objects.create(pk=1)
    for slug, rank in (("development", 10), ("staging", 20), ("production", 30)):
        row = Environment(
            slug=slug,
            name=slug.capitalize(),
            rank=rank,
            is_default=slug == "development",
            created_at=started,
        )
        row._change_reason = INSTALLATION
        row.save()


@pytest.fixture(autouse=True)
def _forget_rights():
    _forget()


def _forget():
    """Rights are remembered by user key and generation, and tests use both again."""
    from apps.access import selectors
    from apps.audit import refusals
    from apps.delivery import acts, reads

    selectors.forget()
    reads._waiting.clear()
    reads._used.clear()
    refusals.forget()
    acts._places.clear()


@pytest.fixture(scope="module")
def module_rows(django_db_setup, django_db_blocker):
    """For fixtures of a whole module: what they write is there for each of its tests, and then not.

    Each test's own transaction is inside the module's, so none of them may need a real one.
    """
    from apps.core.transactions import undone

    _forget()  # the fixtures of a module come before those of its tests
    with django_db_blocker.unblock(), undone():
        _open_modules.append(True)
        yield
        _open_modules.pop()


_open_modules = []


def pytest_runtest_call(item):
    """Refuse a real transaction inside a module's: what it waits for would never come."""
    mark = item.get_closest_marker("django_db")
    real = (mark and mark.kwargs.get("transaction")) or "transactional_db" in item.fixturenames
    if real and _open_modules:
        pytest.fail("This test needs a real transaction: give it fixtures that are its own.")


@pytest.fixture
def system():
    from apps.core.actor import system

    return system("test")


@pytest.fixture
def shop(db, system):
    """The service ``shop`` in three environments, without a version yet."""
    from apps.configs.services.places import create_service

    return create_service(actor=system, slug="shop")


class Api:
    """A REST client that speaks as one service account or not at all."""

    def __init__(self, token=None):
        from django.test import Client

        self.client = Client(raise_request_exception=False)
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method, path, data=None, content_type="application/json", **headers):
        if isinstance(data, (dict, list)):
            import json

            data = json.dumps(data)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(
            method,
            path,
            data if data is not None else "",
            content_type,
            headers={**self.headers, **sent},
        )

    def get(self, path, **headers):
        return self("GET", path, **headers)

    def post(self, path, data, **headers):
        return self("POST", path, data, **headers)


def client_with(role=None, service=None, environment=None, own="production"):
    """A client of a new account, ``robot-0`` and so on, with a role where it is given."""
    from apps.access import services
    from apps.access.models import ServiceAccount
    from apps.access.policy import Place
    from apps.core.actor import system
    from apps.registry.selectors import get_environment, get_service

    actor = system("test")
    number = ServiceAccount.objects.filter(slug__startswith="robot-").count()
    account = services.create_account(
        actor=actor, slug=f"robot-{number}", environment=get_environment(own)
    )
    if role:
        services.grant(
            actor=actor,
            to=f"service-account:{account.slug}",
            role=role,
            on=Place(
                get_service(service) if service else None,
                get_environment(environment) if environment else None,
            ),
        )
    _token, raw = services.create_token(actor=actor, account=account)
    api = Api(raw)
    api.account, api.raw = account, raw
    return api


@pytest.fixture
def make_api(db):
    """Makes a client with a role: ``make_api("operator", service="shop")``."""
    return client_with


@pytest.fixture
def anonymous(db):
    return Api()


@pytest.fixture(scope="module")
def operator(module_rows):
    """The client of an administrator, the same one for a whole module."""
    return client_with("administrator")

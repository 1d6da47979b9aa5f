"""Keys are wrapped while no lock is held: a slow key service keeps no other writer waiting."""

import threading

import pytest
from django.core.management import call_command
from django.db import connection

from tests.api.test_exchange import MANIFESTS, archive
from tests.api.test_references import publish
from tests.portal.conftest import log_in  # noqa: F401 - a fixture
from tests.vault.conftest import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 4  # seconds, less than the key service is waited for; met only where this fails
SECRETS = "/secrets"
VERSIONS = "/secrets/shop/db/versions?environment=production"
PORTAL = "/admin/config/shop/production/"
NEW_SHOP = MANIFESTS.replace("name: shop", "name: kiosk")


class Others:
    """Another writer, who publishes whenever the key service is asked, before it answers."""

    def __init__(self, api):
        self.api, self.asked, self.late, self.threads = api, [], [], []
        self.codes = []

    def publish(self):
        try:
            answer = publish(self.api, "other", {"n": len(self.codes)})
            self.codes.append(answer.status_code)
        finally:
            connection.close()

    def __call__(self, asked):
        self.asked.append(asked)
        thread = threading.Thread(target=self.publish)
        self.threads.append(thread)
        thread.start()
        thread.join(PATIENCE)
        if thread.is_alive():
            self.late.append(asked)


@pytest.fixture
def others(in_transit, operator, shop, make_secret, make_api):
    """Publishing meanwhile; ``db`` is a secret with a rotation."""
    operator.post("/services", {"slug": "other"})
    make_secret("db", rotation={"rotator": "password"})
    writer = make_api("administrator")
    made = Others(writer)
    in_transit.meanwhile = made
    yield made
    in_transit.meanwhile = lambda _asked: None
    for thread in made.threads:
        thread.join()


def secret(name):
    return {"service": "shop", "environment": "production", "name": name, "value": "hello"}


def bring(api, text, **headers):
    told = api(
        "POST", "/import?from=kubernetes", archive({"m.yaml": text}), "application/zip", **headers
    )
    assert told.status_code == 200, told.content
    return told


def rotate(api):
    from apps.core.models import Job

    told = api.post("/secrets/shop/db/rotate?environment=production", {})
    run_at_once(Job.objects.get(kind="secret.rotate").pk)
    status = api.get("/secrets/shop/db?environment=production").json()["rotation_status"]
    assert status["state"] == "done"
    return told


def rotate_keys(in_transit):
    from apps.vault.models import WrappedKey

    in_transit.keys.append(in_transit.keys[0])
    call_command("rotate_keys")
    assert {each.key_id for each in WrappedKey.objects.all()} == {"transit:configsvc:v2"}


KEYED = {"Idempotency_Key": "once"}
WAYS = {
    "REST": lambda api: api.post(SECRETS, secret("new")),
    "REST, once": lambda api: api.post(SECRETS, secret("new"), **KEYED),
    "version": lambda api: api.post(VERSIONS, {"value": "next"}),
    "version, once": lambda api: api.post(VERSIONS, {"value": "next"}, **KEYED),
    "import": lambda api: bring(api, MANIFESTS),
    "import of a new service, once": lambda api: bring(api, NEW_SHOP, **KEYED),
    "rotation": rotate,
}
PAGES = {
    "secrets/": {"name": "new", "value": "hello"},
    "new-secret/": {"name": "new", "value": "hello"},
    "secrets/db/": {"value": "hello"},
    "make-secret/": {
        "content": "db:\n  password: hello\n",
        "format": "yaml",
        "pointer": "/db/password",
        "name": "new",
    },
}


@pytest.mark.each_database
@pytest.mark.parametrize("way", WAYS)
def test_secret_write__while_the_key_service_is_slow__keeps_nobody_waiting(others, operator, way):
    from apps.vault.models import SecretVersion

    before = SecretVersion.objects.count()

    answer = WAYS[way](operator)

    assert answer.status_code in (200, 201, 202)
    assert SecretVersion.objects.count() == before + 1
    check(others)


@pytest.mark.each_database
@pytest.mark.parametrize("page", PAGES)
def test_portal__while_the_key_service_is_slow__keeps_nobody_waiting(others, log_in, page):  # noqa: F811 - a fixture
    from apps.vault.models import SecretVersion

    before = SecretVersion.objects.count()

    answer = log_in("ines", superuser=True).post(PORTAL + page, PAGES[page])

    assert answer.status_code in (200, 201, 302)
    assert SecretVersion.objects.count() == before + 1
    check(others)


def test_rotate_keys__while_the_key_service_is_slow__keeps_nobody_waiting(others, in_transit):
    rotate_keys(in_transit)

    check(others)


def check(others):
    assert "encrypt" in others.asked
    assert others.late == []
    assert set(others.codes) <= {200, 201}
    assert len(others.codes) == len(others.asked)


def test_import__of_a_new_service_whose_id_is_taken_meanwhile__binds_its_secrets_to_another(
    in_transit, operator
):
    taken = []

    def take(asked):
        if asked != "encrypt" or len(taken) > 2:
            return
        thread = threading.Thread(target=register)
        thread.start()
        thread.join()

    def register():
        try:
            taken.append(operator.post("/services", {"slug": f"other-{len(taken)}"}).status_code)
        finally:
            connection.close()

    in_transit.meanwhile = take
    bring(operator, NEW_SHOP)
    in_transit.meanwhile = lambda _asked: None

    assert set(taken) == {201}
    revealed = operator.post("/secrets/kiosk/kiosk.password/reveal?environment=production", {})
    assert revealed.json()["value"] == "s3cret-canary"


def test_repeat__of_a_secret_write__does_not_ask_the_key_service(in_transit, operator, shop):
    first = operator.post(SECRETS, secret("new"), **KEYED)
    in_transit.fault = "standby"

    again = operator.post(SECRETS, secret("new"), **KEYED)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replay"] == "true"

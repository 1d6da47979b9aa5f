"""The portal's pages of rotation, connections and jobs: what they do, and who sees them."""

import ipaddress
from datetime import timedelta

import pytest

from apps.access.policy import Place
from apps.audit.models import AuditEvent
from apps.core import clock, runner
from apps.core.models import Connection, Job
from apps.registry.selectors import get_environment
from apps.vault import services
from apps.vault.models import Rotation, RotationRun
from apps.vault.rotators import ROTATORS

pytestmark = pytest.mark.django_db

ONE = "/admin/config/shop/production/secrets/db-password/"
ROTATION = f"{ONE}rotation/"
CONNECTIONS = "/admin/core/connection/"
CANARY = "canary-a1c-<b>"


@pytest.fixture
def secret(two_services, system):
    place = Place(two_services[0], get_environment("production"))
    return services.create_secret(actor=system, place=place, slug="db-password", value=CANARY)


@pytest.fixture
def officer(log_in, secret):
    return log_in("sol", ("security-officer", "shop", None))


@pytest.fixture
def admin(log_in, secret):
    return log_in("ada", ("administrator", None, None))


def save(person, **members):
    data = {"act": "save", "rotator": "password", "classes": ["lower", "digits"], **members}
    return person.post(ROTATION, data, follow=True)


def test_rotation__set_in_the_form__is_kept_and_shown(officer, secret):
    answer = save(officer, length="48", exclude="0O", every_days="30", keep_hours="5")
    page = answer.content.decode()

    rotation = Rotation.objects.get()
    assert (rotation.every_days, rotation.keep_hours) == (30, 5)
    assert '"length":48' in rotation.options
    assert 'value="48"' in page
    assert "every 30 days" in page
    assert "every 30 days" in officer.get(ONE).content.decode()


@pytest.mark.parametrize("name", ROTATORS)
def test_rotation__form_of_each_rotator__is_shown(officer, name):
    page = officer.get(f"{ROTATION}?rotator={name}").content.decode()

    assert f'name="rotator" value="{name}"' in page
    assert all(f'name="{each.name}"' in page for each in ROTATORS[name].options)


@pytest.mark.parametrize(
    "members",
    [
        {"length": "4"},
        {"length": "many"},
        {"length": "²"},
        {"classes": []},
        {"rotator": "unknown"},
        {"rotator": ""},
        {"every_days": "0"},
        {"keep_hours": "-1"},
        {"rotator": "postgres", "roles": "a b", "connection": "none"},
        {"rotator": "rsa", "bits": "7"},
    ],
)
def test_rotation__wrong_in_the_form__is_shown_and_nothing_is_kept(officer, members):
    answer = save(officer, **members)

    assert answer.status_code == 200
    assert "is set" not in answer.content.decode()
    assert not Rotation.objects.exists()


def test_rotation__now__is_begun_done_and_in_the_history(officer, secret):
    save(officer)
    begun = officer.post(ROTATION, {"act": "rotate"}, follow=True).content.decode()
    runner.run_due()
    page = officer.get(ROTATION).content.decode()

    assert "A rotation is running" in begun
    assert "user:sol" in page
    assert "v1 → v2" in page
    assert "The value before ends" in page
    assert CANARY not in page


def test_rotation__failed__is_shown_with_its_reason_on_the_secrets_page(officer, secret):
    save(officer, member="password")
    officer.post(ROTATION, {"act": "rotate"})
    runner.run_due(now=clock.now() + timedelta(days=1))

    for address in (ONE, ROTATION):
        page = officer.get(address).content.decode()
        assert "The last rotation failed" in page
        assert "not an object" in page
        assert CANARY not in page


def test_rotation__taken_away__is_gone(officer):
    save(officer)
    officer.post(ROTATION, {"act": "remove"})

    assert not Rotation.objects.exists()
    assert "does not rotate" in officer.get(ONE).content.decode()


@pytest.mark.parametrize("act", ["save", "rotate", "force", "remove"])
@pytest.mark.parametrize("role", ["viewer", "developer", "operator", "auditor"])
def test_rotation__without_the_right__is_seen_and_not_changed(officer, log_in, role, act):
    save(officer, length="41")
    person = log_in("vera", (role, "shop", None))
    page = person.get(ROTATION).content.decode()
    person.post(ROTATION, {"act": act, "rotator": "key"})

    assert "Rotate now" not in page
    assert 'value="41"' not in page
    assert Rotation.objects.get().rotator == "password"
    assert not RotationRun.objects.exists()


def test_rotation__of_a_place_that_is_hidden__is_404(secret, log_in):
    assert log_in("vera", ("viewer", "shop", "staging")).get(ROTATION).status_code == 404


@pytest.fixture
def connection(admin, settings):
    settings.PRIVATE_TARGETS = [ipaddress.ip_network("127.0.0.0/8")]
    answer = admin.post(f"{CONNECTIONS}add/", connection_form())
    assert answer.status_code == 302, answer.content.decode()
    return Connection.objects.get()


def connection_form(**more):
    return {
        "slug": "hook",
        "kind": "webhook",
        "address": "https://127.0.0.1:9/x",
        "login": "",
        "tls": "verify-full",
        "authorities": "",
        "credential_name": "shop@production/db-password",
        "role_lines": "",
        "service_lines": "shop\r\n",
        **more,
    }


def test_connection__made_and_changed__is_in_the_list_and_the_ledger(admin, connection):
    form = connection_form(address="https://127.0.0.1:10/y")
    admin.post(f"{CONNECTIONS}{connection.pk}/change/", form)
    page = admin.get(CONNECTIONS).content.decode()

    connection.refresh_from_db()
    assert (connection.address, connection.services) == ("https://127.0.0.1:10/y", ["shop"])
    assert "https://127.0.0.1:10/y" in page
    assert CANARY not in admin.get(f"{CONNECTIONS}{connection.pk}/change/").content.decode()
    acts = AuditEvent.objects.filter(target="connection:hook")
    assert {each.action for each in acts} == {"connection.created", "connection.changed"}
    assert admin.get(f"{CONNECTIONS}{connection.pk}/history/").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "https://169.254.169.254/"},
        {"address": "http://127.0.0.1/"},
        {"credential_name": "shop@production/none"},
        {"credential_name": ""},
        {"slug": ""},
        {"slug": "a b"},
        {"kind": "ftp"},
    ],
)
def test_connection__wrong__is_said_in_the_form(admin, connection, wrong):
    answer = admin.post(f"{CONNECTIONS}add/", connection_form(**{"slug": "other", **wrong}))

    assert answer.status_code == 200
    assert Connection.objects.count() == 1


def test_connection__deleted__is_refused_while_it_is_used(admin, officer, connection):
    save(officer, rotator="webhook", connection="hook")
    address = f"{CONNECTIONS}{connection.pk}/delete/"
    assert "hook" in admin.get(CONNECTIONS).content.decode()
    admin.post(address, {"post": "yes"})
    connection.refresh_from_db()
    assert connection.deleted_at is None
    officer.post(ROTATION, {"act": "remove"})
    admin.post(address, {"post": "yes"})
    connection.refresh_from_db()

    assert connection.deleted_at is not None


@pytest.mark.parametrize("role", ["viewer", "operator", "auditor", "security-officer"])
def test_connections__by_who_is_no_administrator__are_hidden(connection, log_in, role):
    person = log_in("vera", (role, None, None))
    one = f"{CONNECTIONS}{connection.pk}"

    assert "Connections" not in person.get("/admin/").content.decode()
    for address in (CONNECTIONS, f"{CONNECTIONS}add/", f"{one}/change/", f"{one}/delete/"):
        assert person.get(address).status_code in (302, 403), address
        assert "127.0.0.1:9" not in person.get(address, follow=True).content.decode()
    assert person.get(f"{one}/history/").status_code in (302, 403, 404)


def test_connections__administrator_of_one_service__is_no_administrator(connection, log_in):
    person = log_in("vera", ("administrator", "shop", None))

    assert person.get(CONNECTIONS).status_code == 403
    assert person.get("/admin/jobs/").status_code == 403


@pytest.fixture
def failed(officer):
    save(officer, member="password")
    officer.post(ROTATION, {"act": "rotate"})
    runner.run_due(now=clock.now() + timedelta(days=1))
    return Job.objects.get(kind="secret.rotate")


def test_jobs__each_state__is_a_page_with_reasons_and_attempts(failed, admin):
    pages = {
        state: admin.get(f"/admin/jobs/?state={state}").content.decode()
        for state in ("failed", "running", "due", "past", "²", "")
    }

    assert "not an object" in pages["failed"]
    assert "8 attempts" in pages["failed"]
    assert "shop@production/db-password" in pages["failed"]
    assert "Nothing runs now" in pages["running"]
    assert CANARY not in "".join(pages.values())


def test_jobs__tried_again__is_due_and_in_the_ledger(failed, admin, officer):
    officer.post(f"{ONE}", {"act": "write", "value": '{"password": "x"}', "is_object": "1"})
    answer = admin.post("/admin/jobs/", {"job": str(failed.pk)}, follow=True)
    runner.run_due()

    failed.refresh_from_db()
    assert "it is due now" in answer.content.decode()
    assert failed.outcome == "done"
    assert RotationRun.objects.get().state == "done"
    event = AuditEvent.objects.get(action="job.put")
    assert (event.actor, event.target) == ("user:ada", "job:secret.rotate")


@pytest.mark.parametrize("number", ["", "x", "²", "-1", "9" * 30, "99999"])
def test_jobs__odd_numbers__change_nothing(failed, admin, number):
    assert admin.post("/admin/jobs/", {"job": number}, follow=True).status_code in (200, 400)
    failed.refresh_from_db()
    assert failed.outcome == "failed"


@pytest.mark.parametrize(
    ("role", "sees"), [("viewer", False), ("security-officer", True), ("auditor", True)]
)
def test_jobs__by_others__are_hidden_or_shown_without_buttons(failed, log_in, role, sees):
    person = log_in("vera", (role, None, None))
    answer = person.get("/admin/jobs/?state=failed")

    assert answer.status_code == (200 if sees else 403)
    assert "Try again" not in answer.content.decode()
    person.post("/admin/jobs/", {"job": str(failed.pk)})
    failed.refresh_from_db()
    assert failed.outcome == "failed"

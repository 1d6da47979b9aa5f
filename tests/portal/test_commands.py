"""The commands that make people and passwords: audited, validated, nothing half done."""

import json

import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import AuditEvent
from apps.core.models import User

pytestmark = pytest.mark.django_db

GOOD = "seven green apples 4"


@pytest.fixture
def type_in(monkeypatch):
    """What is typed at the prompts for a password, in turn."""

    def typed(*texts):
        given = iter(texts)
        monkeypatch.setattr("apps.portal.management.passwords.getpass", lambda _p: next(given))

    return typed


def acts():
    return [
        (each.actor, each.action, each.target) for each in AuditEvent.objects.order_by("number")
    ]


def test_createsuperuser__asked__makes_one_and_tells_the_ledger(type_in, client):
    type_in(GOOD, GOOD)

    call_command("createsuperuser", username="root", email="root@example.org")

    made = User.objects.get(username="root")
    assert (made.is_superuser, made.is_staff, made.check_password(GOOD)) == (True, True, True)
    assert acts()[-2:] == [
        ("system:createsuperuser", "user.created", "user:root"),
        ("system:createsuperuser", "user.updated", "user:root"),
    ]
    assert json.loads(AuditEvent.objects.latest("number").data)["superuser"] is True


def test_createsuperuser__noinput__has_no_password():
    call_command("createsuperuser", username="root", interactive=False)

    assert not User.objects.get(username="root").has_usable_password()
    with pytest.raises(CommandError, match="--username"):
        call_command("createsuperuser", interactive=False)


@pytest.mark.parametrize(
    ("typed", "said"), [(("short", "short"), "too short"), ((GOOD, GOOD + "x"), "not alike")]
)
def test_createsuperuser__bad_password__makes_nobody(type_in, typed, said):
    type_in(*typed)
    before = acts()

    with pytest.raises(CommandError, match=said):
        call_command("createsuperuser", username="root")

    assert not User.objects.filter(username="root").exists()
    assert acts() == before


def test_createsuperuser__name_that_is_taken__is_said(type_in):
    User.objects.create_user("Root")
    type_in(GOOD, GOOD)

    with pytest.raises(CommandError, match="taken"):
        call_command("createsuperuser", username="root")


def test_changepassword__sets_it_ends_the_sessions_and_tells_the_ledger(type_in, client):
    ada = User.objects.create_user("ada", is_staff=True, password="before")
    client.force_login(ada)
    type_in(GOOD, GOOD)

    call_command("changepassword", "ada")

    ada.refresh_from_db()
    assert ada.check_password(GOOD)
    assert acts()[-1] == ("system:changepassword", "user.password", "user:ada")
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [("nobody", (), "no person"), ("ada", ("short", "short"), "too short")],
)
def test_changepassword__that_cannot_be__changes_nothing(type_in, name, typed, said):
    ada = User.objects.create_user("ada", password="before")
    type_in(*typed)

    with pytest.raises(CommandError, match=said):
        call_command("changepassword", name)

    ada.refresh_from_db()
    assert ada.check_password("before")

"""A credential in plain text becomes a secret in one step, and its value goes nowhere else."""

import logging

import pytest

pytestmark = pytest.mark.django_db

LEAK = "canary-5d21-made-a-secret"
URL = "/admin/config/shop/production/make-secret/"
TEXT = f"db:\n  password: {LEAK} # oh\na: 1\n"


def make(client, **members):
    data = {"content": TEXT, "format": "yaml", "pointer": "/db/password", "name": "db-password"}
    return client.post(URL, data | members)


def test_make_secret__replaces_the_value_by_its_name(two_services, log_in, caplog):
    from apps.vault.models import Secret
    from apps.vault.services import reveal

    caplog.set_level(logging.DEBUG)
    admin = log_in("ines", superuser=True)

    answer = make(admin)

    assert answer.status_code == 201
    assert answer.json() == {
        "name": "db-password",
        "place": "production",
        "content": 'db:\n  password: {"$secret": "db-password"} # oh\na: 1\n',
        "still": False,
    }
    assert "no-store" in answer.headers["Cache-Control"]
    from apps.portal.shared import actor_of_user

    secret = Secret.objects.get(slug="db-password")
    assert reveal(actor=actor_of_user(admin.person), secret=secret)[1] == LEAK
    assert LEAK not in caplog.text


def test_make_secret__value_elsewhere_too__is_said(two_services, log_in):
    admin = log_in("ines", superuser=True)

    answer = make(admin, content=f"# {LEAK}\n{TEXT}")

    assert answer.json()["still"] is True
    assert LEAK in answer.json()["content"].splitlines()[0]


def test_make_secret__without_secure__is_refused_and_makes_nothing(two_services, log_in):
    from apps.vault.models import Secret

    operator = log_in("ada", ("operator", "shop", None))
    nobody = log_in("nora")

    assert make(operator).status_code == 403
    assert make(nobody).status_code == 422
    assert not Secret.objects.exists()


@pytest.mark.parametrize(
    "members",
    [
        {"pointer": "/db/other"},
        {"pointer": "db"},
        {"pointer": "/a"},
        {"name": "bad name"},
        {"name": ""},
        {"format": "cobol"},
        {"content": f"db: [{LEAK}"},
    ],
)
def test_make_secret__odd_request__is_refused_without_the_value(two_services, log_in, members):
    from apps.vault.models import Secret

    answer = make(log_in("ines", superuser=True), **members)

    assert answer.status_code == 422
    assert LEAK not in answer.content.decode()
    assert not Secret.objects.exists()


def test_make_secret__name_taken__changes_nothing(two_services, log_in):
    from apps.vault.models import SecretVersion

    admin = log_in("ines", superuser=True)
    assert make(admin).status_code == 201

    assert make(admin, name="DB-Password").status_code == 422
    assert SecretVersion.objects.count() == 1


def test_make_secret__of_what_validate_warned_about__is_valid_afterwards(two_services, log_in):
    admin = log_in("ines", superuser=True)
    text = "db:\n  url: postgres://app:hunter2hunter2@db.example/shop\n"
    body = {"service": "shop", "environment": "production", "format": "yaml"}
    asked = {"content_type": "application/json"}
    before = admin.post("/validate", {**body, "content": text}, **asked).json()
    (warning,) = before["warnings"]
    assert (warning["code"], warning["pointer"]) == ("credential", "/db/url")

    made = make(admin, content=text, pointer=warning["pointer"], name="db-url")

    after = admin.post("/validate", {**body, "content": made.json()["content"]}, **asked).json()
    assert (after["valid"], after["warnings"]) == (True, [])

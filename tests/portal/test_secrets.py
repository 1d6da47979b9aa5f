"""The portal's pages of secrets: no value in a page, revealing is audited, each sees his own."""

import pytest

from apps.access import key_rules
from apps.access.policy import EVERYWHERE, Place
from apps.audit.models import AuditEvent
from apps.registry.selectors import get_environment
from apps.vault import services
from apps.vault.models import Secret, SecretVersion

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production/"
ONE = f"{PLACE}secrets/db-password/"
CANARY = "canary-5d1c-<script>&Zq"
ESCAPED = ("canary-5d1c", "5d1c-")
PAGES = (
    "/admin/",
    "/admin/secrets/",
    "/admin/ledger/",
    PLACE,
    f"{PLACE}secrets/",
    ONE,
    f"{PLACE}history/",
    f"{PLACE}diff/?from=1&to=live",
    f"{PLACE}use/",
    "/admin/rights/?service=shop&environment=production",
)


@pytest.fixture
def secret(two_services, system):
    """``db-password``, used by the live configuration of shop in production."""
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Base, Options

    place = Place(two_services[0], get_environment("production"))
    made = services.create_secret(actor=system, place=place, slug="db-password", value=CANARY)
    publishing.publish(
        actor=system,
        place=place,
        source=sources.from_text('a: 1\nb: {$secret: "db-password"}\n', "yaml"),
        options=Options(base=Base(1)),
    )
    return made


def events(action):
    return list(AuditEvent.objects.filter(action=action))


def test_reveal__by_an_officer__is_audited_and_kept_by_nobody(secret, log_in):
    officer = log_in("sol", ("security-officer", "shop", None))

    answer = officer.post(f"{ONE}reveal/", {"version": "1"})

    assert answer.json() == {"version": 1, "text": CANARY}
    assert "no-store" in answer.headers["Cache-Control"]
    assert [each.actor for each in events("secret.revealed")] == ["user:sol"]


def test_reveal__asked_with_get_or_without_the_pages_token__gives_nothing(secret, log_in):
    from django.test import Client

    officer = log_in("sol", ("security-officer", "shop", None))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(officer.person)

    assert officer.get(f"{ONE}reveal/").status_code == 405
    assert strict.post(f"{ONE}reveal/", {"version": "1"}).status_code == 403
    assert events("secret.revealed") == []


@pytest.mark.parametrize("role", ["viewer", "developer", "operator", "auditor"])
def test_reveal__without_the_right__is_refused(secret, log_in, role):
    person = log_in("vera", (role, "shop", None))

    answer = person.post(f"{ONE}reveal/", {"version": "1"})

    assert answer.status_code == 403
    assert CANARY not in answer.content.decode()
    assert b"data-reveal" not in person.get(ONE).content
    assert events("secret.revealed") == []


@pytest.mark.parametrize("role", ["viewer", "operator", "security-officer", "administrator", None])
def test_pages__of_every_kind_of_person__hold_no_value(secret, log_in, role):
    person = log_in("ada", (role, None, None)) if role else log_in("ada", superuser=True)

    for path in PAGES:
        answer = person.get(path)
        assert answer.status_code in (200, 403), path
        assert not any(each in answer.content.decode() for each in ESCAPED), path


def test_secrets__of_a_place_that_the_person_may_not_list__do_not_exist(secret, log_in, system):
    stranger = log_in("zoe", ("viewer", "vault-door", None))
    nobody = log_in("nemo")

    for person in (stranger, nobody):
        assert b"db-password" not in person.get("/admin/secrets/").content
        assert person.get(ONE).status_code == 404
        assert person.get(f"{PLACE}secrets/").status_code == 404
        assert person.post(f"{ONE}reveal/", {"version": "1"}).status_code == 422


def test_secret__under_a_key_rule__is_seen_by_those_in_it_alone(secret, log_in, system):
    key_rules.create_key_rule(actor=system, pattern="$secret.db-*", place=EVERYWHERE)
    officer = log_in("sol", ("security-officer", None, None))

    assert b"db-password" not in officer.get(f"{PLACE}secrets/").content
    assert officer.get(ONE).status_code == 404
    assert officer.post(f"{ONE}reveal/", {"version": "1"}).status_code == 422
    assert log_in("root", superuser=True).get(ONE).status_code == 200


def test_lists__tell_the_version_the_stages_and_the_users(secret, log_in, system):
    services.write_secret(actor=system, secret=secret, value="second-value")
    viewer = log_in("vera", ("viewer", "shop", None))

    overall = viewer.get("/admin/secrets/?service=shop&environment=production&name=DB")
    row = overall.context["rows"][0]

    assert [str(each) for each in row["stages"]] == [
        "current: shop@production/db-password v2",
        "previous: shop@production/db-password v1",
    ]
    assert [each["title"] for each in row["users"]] == ["shop@production"]
    assert viewer.get("/admin/secrets/?name=nothing").context["rows"] == []


def test_place__in_a_child_environment__shows_what_it_inherits(secret, log_in, system):
    from apps.configs.services import places

    places.create_environment(actor=system, slug="canary", rank=40, parent="production")
    viewer = log_in("vera", ("viewer", "shop", None))

    rows = viewer.get("/admin/config/shop/canary/secrets/").context["rows"]

    assert [(row["secret"].slug, row["inherited"]) for row in rows] == [("db-password", True)]
    assert rows[0]["url"] == ONE


def test_create__refused__does_not_send_the_value_back(secret, log_in):
    officer = log_in("sol", ("security-officer", "shop", None))
    form = {"name": "db-password", "description": "what for", "value": "typed-value-81"}

    refused = officer.post(f"{PLACE}secrets/", form)
    broken = officer.post(f"{ONE}", {"act": "write", "value": "{typed-value-81", "is_object": "1"})
    after = officer.get(ONE)

    page = refused.content.decode()
    assert refused.status_code == 422
    assert "There is a secret of this name here" in page
    assert 'value="what for"' in page
    assert broken.status_code == 302
    assert "not a JSON object" in after.content.decode()
    for answer in (refused, broken, after):
        assert "typed-value-81" not in answer.content.decode() + str(answer.cookies)


def test_values__are_kept_as_they_were_pasted(secret, log_in, system):
    officer = log_in("sol", ("security-officer", "shop", None))

    officer.post(f"{PLACE}secrets/", {"name": "pem", "value": "-----A\r\nb\r\n"})
    officer.post(ONE, {"act": "write", "value": '{"user": "u", "n": 1.50}', "is_object": "1"})

    pem = Secret.objects.get(slug="pem")
    assert services.reveal(actor=system, secret=pem) == (1, "-----A\nb\n")
    shown = officer.post(f"{ONE}reveal/", {"version": "2"}).json()["text"]
    assert "1.50" in shown


def test_delete__of_a_used_secret__is_refused_naming_its_users(secret, log_in, system):
    officer = log_in("sol", ("security-officer", "shop", None))
    spare = services.create_secret(
        actor=system, place=Place(secret.service, secret.environment), slug="spare", value="x"
    )

    officer.post(ONE, {"act": "delete"})
    refused = officer.get(ONE).content.decode()
    gone = officer.post(f"{PLACE}secrets/spare/", {"act": "delete"})

    assert "Live configurations use it: shop@production" in refused
    assert Secret.objects.get(pk=secret.pk).deleted_at is None
    assert gone.headers["Location"] == f"{PLACE}secrets/"
    assert Secret.objects.get(pk=spare.pk).deleted_at is not None


def test_destroy__of_an_old_version__leaves_the_current_one(secret, log_in, system):
    services.write_secret(actor=system, secret=secret, value="second-value")
    officer = log_in("sol", ("security-officer", "shop", None))

    officer.post(ONE, {"act": "destroy", "version": "1"})
    officer.post(ONE, {"act": "destroy", "version": "2"})

    old, new = (officer.post(f"{ONE}reveal/", {"version": each}) for each in ("1", "2"))
    assert (old.status_code, old.json()["code"]) == (422, "destroyed")
    assert new.json()["text"] == "second-value"


@pytest.mark.parametrize("act", ["write", "delete", "destroy"])
def test_changes__by_somebody_who_may_not__change_nothing(secret, log_in, act):
    operator = log_in("ada", ("operator", "shop", None))

    operator.post(ONE, {"act": act, "value": "other", "version": "1"})
    made = operator.post(f"{PLACE}secrets/", {"name": "mine", "value": "other"})

    assert made.status_code == 422
    assert "This needs the right" in made.content.decode()
    assert SecretVersion.objects.count() == 1


def test_sealed_server__says_so_and_offers_no_value(secret, log_in, settings, tmp_path):
    officer = log_in("sol", ("security-officer", "shop", None))
    settings.KEY_PROVIDER = {**settings.KEY_PROVIDER, "keys": (), "file": str(tmp_path / "none")}

    pages = [officer.get(path) for path in ("/admin/secrets/", f"{PLACE}secrets/", ONE, PLACE)]
    refused = officer.post(f"{ONE}reveal/", {"version": "1"})

    assert [each.status_code for each in pages] == [200] * 4
    for each in pages[:3]:
        assert b"The server is sealed" in each.content
        assert b"data-reveal" not in each.content
        assert b"data-secret-value" not in each.content
    assert refused.json()["code"] == "sealed"


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("get", f"{PLACE}secrets/no-such/", {}, 404),
        ("get", f"{PLACE}secrets/%00/", {}, 400),
        ("get", "/admin/secrets/?name=%00", {}, 400),
        ("get", "/admin/secrets/?page=x", {}, 200),
        ("post", f"{ONE}reveal/", {"version": "²"}, 422),
        ("post", f"{ONE}reveal/", {"version": "9" * 30}, 422),
        ("post", f"{ONE}reveal/", {}, 422),
        ("post", f"{ONE}reveal/", {"version": "77"}, 422),
        ("post", ONE, {"act": "destroy", "version": "x"}, 302),
        ("post", f"{PLACE}secrets/", {"name": "a/../b", "value": "x"}, 422),
        ("post", f"{PLACE}secrets/", {"name": "ok", "value": "\x00"}, 400),
        ("post", f"{PLACE}secrets/", {}, 422),
        ("post", f"{PLACE}new-secret/", {}, 422),
    ],
)
def test_odd_requests__get_an_answer(secret, log_in, method, path, data, status):
    admin = log_in("ines", superuser=True)

    assert getattr(admin, method)(path, data).status_code == status


def test_overall_list__of_many__takes_as_many_statements_as_of_few(secret, log_in, system):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    place = Place(secret.service, secret.environment)
    viewer = log_in("vera", ("viewer", "shop", None))
    counts = []

    for number in range(60):
        services.create_secret(actor=system, place=place, slug=f"s{number}", value="x")
        if number in (1, 59):
            viewer.get("/admin/secrets/")
            with CaptureQueriesContext(
                connection,
            ) as queries:
                page = viewer.get("/admin/secrets/")
            counts.append(len(queries))

    assert counts[0] == counts[1]
    assert page.context["page"].paginator.count == 61
    assert len(page.context["rows"]) == 50

"""Logging in over Django's client: password, second factor, guessing, and when sessions end."""

import re
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

PASSWORD = "seven green apples 4"
LOGIN = "/admin/login/"


@pytest.fixture
def ada(system):
    from apps.access.people import create_person

    return create_person(actor=system, username="ada", password=PASSWORD)


@pytest.fixture(autouse=True)
def steady_period(monkeypatch):
    """Codes are told and checked at one moment: a period that ends between them fails nothing."""
    from allauth.mfa.totp.internal import auth

    now = time.time()
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: now))


def browser(address="192.0.2.1"):
    return Client(REMOTE_ADDR=address, raise_request_exception=False)


def log_in(client, username="ada", password=PASSWORD, **more):
    return client.post(LOGIN, {"username": username, "password": password, **more})


def is_in(client):
    return client.get("/admin/").status_code == 200


def events(action):
    from apps.audit.models import AuditEvent

    found = AuditEvent.objects.filter(action=action).order_by("number")
    return list(found.values_list("actor", "target", "data"))


def code(secret, after=0):
    from allauth.mfa.totp.internal import auth

    return auth.format_hotp_value(auth.hotp_value(secret, int(auth.time.time()) // 30 + after))


def enrol(client, after=-1):
    """Enrol an authenticator as the pages do; gives its secret and the recovery codes."""
    page = client.get("/accounts/2fa/totp/activate/", follow=True)
    if "reauthenticate" in page.redirect_chain[-1][0] if page.redirect_chain else False:
        page = client.post(page.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    secret = re.search(r'id="totp-secret">(\w+)<', page.content.decode()).group(1)
    done = client.post(
        "/accounts/2fa/totp/activate/", {"code": code(secret, after)}, follow=True
    ).content.decode()
    return secret, re.search(r'id="codes">([^<]+)<', done).group(1).split()


def test_log_in__right_password__opens_the_portal_and_is_audited(ada):
    client = browser()
    page = client.get("/admin/", follow=True)

    answer = log_in(client, next="/admin/registry/service/")

    assert page.redirect_chain == [("/admin/login/?next=/admin/", 302)]
    assert (answer.status_code, answer["Location"]) == (302, "/admin/registry/service/")
    assert is_in(client)
    assert events("login") == [("user:ada", "user:ada", '{"methods":["password"]}')]
    client.post("/admin/logout/")
    assert not is_in(client)
    assert events("logout") == [("user:ada", "user:ada", "{}")]


def test_log_in__next_of_another_host__stays_here(ada):
    assert log_in(browser(), next="https://evil.example/")["Location"] == "/admin/"


def test_log_in__key_of_the_session__is_a_new_one(ada):
    client = browser()
    client.get(LOGIN)
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["sessionid"] = session.session_key

    log_in(client)

    assert client.session.session_key != session.session_key


@pytest.mark.parametrize("username", ["ada", "nobody", "ines"])
def test_log_in__refused__looks_alike_for_known_unknown_and_deactivated(ada, system, username):
    from apps.access.people import create_person, update_person

    ines = create_person(actor=system, username="ines", password=PASSWORD)
    update_person(actor=system, user=ines, is_active=False, is_superuser=False)
    password = PASSWORD if username == "ines" else "wrong"

    answer = log_in(browser(), username, password)

    body = re.sub(r'value="[^"]*"|nonce="[^"]*"', "", answer.content.decode())
    reference = re.sub(
        r'value="[^"]*"|nonce="[^"]*"', "", log_in(browser(), "x", "wrong").content.decode()
    )
    assert (answer.status_code, body) == (200, reference)
    assert not is_in(browser())


@pytest.mark.parametrize("username", ["ada", "nobody", "service-account:app"])
def test_log_in__refused__hashes_once_for_everybody(ada, system, username, monkeypatch):
    from django.contrib.auth.hashers import MD5PasswordHasher

    from apps.access.services import create_account

    create_account(actor=system, slug="app")
    count = []
    original = MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher,
        "encode",
        lambda *given, **named: count.append(1) or original(*given, **named),
    )

    log_in(browser(), username, "wrong")

    assert len(count) == 1


def test_failed_log_in__typed_name_is_written_only_when_there_is_one(ada):
    log_in(browser(), "ada", "wrong")
    log_in(browser(), "my secret password", "x")

    assert [(actor, target) for actor, target, _data in events("login.failed")] == [
        ("address:192.0.2.1", "user:ada"),
        ("address:192.0.2.1", "user:(unknown)"),
    ]


@pytest.mark.parametrize("username", ["ada", "nobody"])
def test_guessing__one_account_from_many_addresses__waits_longer_each_time(
    ada, username, monkeypatch
):
    from apps.core import clock

    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    for number in range(5):
        assert log_in(browser(f"192.0.2.{number}"), username, "wrong").status_code == 200
    waits = []
    for number in range(12):
        answer = log_in(browser(f"198.51.100.{number}"), username, "wrong")
        assert answer.status_code == 429
        assert "Too many attempts" in answer.content.decode()
        waits.append(int(answer["Retry-After"]))
        now += timedelta(seconds=waits[-1])
        assert log_in(browser(f"203.0.113.{number}"), username, "wrong").status_code == 200

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_guessing__right_password_while_one_waits__is_refused_and_afterwards_opens(
    ada, monkeypatch
):
    from apps.core import clock

    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    for number in range(5):
        log_in(browser(f"192.0.2.{number}"), "ada", "wrong")

    assert log_in(browser("203.0.113.1")).status_code == 429
    now += timedelta(seconds=2)
    assert log_in(browser("203.0.113.1")).status_code == 302
    assert log_in(browser("203.0.113.2"), "ada", "wrong").status_code == 200


def test_guessing__of_strangers__does_not_keep_out_the_browser_that_knows_the_account(ada):
    own = browser()
    log_in(own)
    own.post("/admin/logout/")
    for number in range(6):
        log_in(browser(f"198.51.100.{number}"), "ada", "wrong")

    assert log_in(browser("203.0.113.1")).status_code == 429
    assert log_in(own).status_code == 302
    forged = browser("203.0.113.1")
    forged.cookies["configsvc_device"] = own.cookies["configsvc_device"].value[:-2] + "xx"
    assert log_in(forged).status_code == 429


def test_guessing__many_accounts_from_one_address__waits_and_others_do_not(ada):
    answers = [log_in(browser(), f"name-{number}", "wrong").status_code for number in range(31)]

    assert (answers[:30], answers[30]) == ([200] * 30, 429)
    assert log_in(browser("192.0.2.99")).status_code == 302
    assert log_in(browser("2001:db8::1"), "name-1", "x").status_code == 200


def test_guessing__new_password_by_a_superuser__lets_in_at_once(ada, system):
    from apps.access.people import set_password

    for number in range(6):
        log_in(browser(f"198.51.100.{number}"), "ada", "wrong")
    set_password(actor=system, user=ada, password="eight yellow pears 5")

    assert log_in(browser(), password="eight yellow pears 5").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_guessing__many_at_once__no_more_are_looked_at_than_one_by_one(system):
    import threading

    from django.db import connection

    from apps.access.attempts import begin_login
    from apps.core import clock
    from apps.engine.errors import TooManyAttemptsError

    looked_at, failures, now = [], [], clock.now()
    ready = threading.Barrier(8)

    def guess(number):
        try:
            ready.wait()
            for each in range(3):
                address = f"192.0.2.{number * 8 + each}"
                begin_login(account="ada", address=address, device="", now=now)
                looked_at.append(address)
        except TooManyAttemptsError:
            pass
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert failures == []
    assert len(looked_at) == 5


def test_guessing__success_of_the_guesser__takes_back_its_own_count_alone(ada, system):
    from apps.access.people import create_person

    create_person(actor=system, username="mallory", password=PASSWORD)
    for number in range(29):
        log_in(browser(), f"name-{number}", "wrong")
    assert log_in(browser(), "mallory").status_code == 302

    assert log_in(browser(), "name-x", "wrong").status_code == 200
    assert log_in(browser(), "name-y", "wrong").status_code == 429


def test_second_factor__enrolled__is_asked_for_and_good_once(ada):
    from allauth.mfa.models import Authenticator

    client = browser()
    log_in(client)
    secret, codes = enrol(client)
    other = browser()

    assert log_in(other)["Location"] == "/accounts/2fa/authenticate/"
    assert not is_in(other)
    assert other.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    now = code(secret)
    assert other.post("/accounts/2fa/authenticate/", {"code": now})["Location"] == "/admin/"
    assert is_in(other)
    from django.core.cache import cache

    cache.clear()  # as another node would see it
    third = browser()
    log_in(third)
    assert third.post("/accounts/2fa/authenticate/", {"code": now}).status_code == 200
    assert third.post("/accounts/2fa/authenticate/", {"code": codes[0]}).status_code == 302
    fourth = browser()
    log_in(fourth)
    assert fourth.post("/accounts/2fa/authenticate/", {"code": codes[0]}).status_code == 200
    kinds = set(Authenticator.objects.values_list("type", flat=True))
    assert kinds == {"totp", "recovery_codes"}
    enrolled = [data for _actor, _target, data in events("factor.enrolled")]
    assert enrolled == ['{"kind":"totp"}', '{"kind":"recovery_codes"}']
    assert '{"methods":["password","totp"]}' in [data for _a, _t, data in events("login")]


def test_second_factor__codes_guessed__wait(ada):
    client = browser()
    log_in(client)
    enrol(client)
    other = browser()
    log_in(other)

    answers = [
        other.post("/accounts/2fa/authenticate/", {"code": f"00000{number}"}).status_code
        for number in range(6)
    ]

    assert answers == [200] * 5 + [429]


def test_second_factor__secret_and_codes__are_nowhere_in_plain_text(ada):
    from django.db import connection

    client = browser()
    log_in(client)
    page = client.get("/accounts/2fa/totp/activate/", follow=True)
    page = client.post(page.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    waiting = re.search(r'id="totp-secret">(\w+)<', page.content.decode()).group(1)
    from django.contrib.sessions.models import Session

    held = [each.get_decoded() for each in Session.objects.all()]
    assert waiting not in str(held)
    secret, codes = enrol(client)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        text = str(cursor.fetchall())
    assert secret not in text
    assert not any(each in text for each in codes)


def test_second_factor__sealed_by_an_earlier_key__opens_and_is_sealed_anew(ada, settings):
    from django.core.management import call_command

    from apps.access import factors

    client = browser()
    log_in(client)
    secret, _codes = enrol(client)
    settings.SECRET_KEY, earlier = "a-new-signing-key-of-this-installation-1", settings.SECRET_KEY
    settings.SECRET_KEY_FALLBACKS = [earlier]
    call_command("reseal_second_factors")
    settings.SECRET_KEY_FALLBACKS = []

    from allauth.mfa.models import Authenticator

    assert factors.unseal(Authenticator.objects.get(type="totp").data["secret"]) == secret


def test_second_factor__sealed_value_damaged__is_a_page_and_opens_nothing(ada):
    from allauth.mfa.models import Authenticator

    client = browser()
    log_in(client)
    secret, _codes = enrol(client)
    row = Authenticator.objects.get(type="totp")
    row.data["secret"] = "A" + row.data["secret"][1:-4] + "AAA="
    row.save()
    other = browser()
    log_in(other)

    answer = other.post("/accounts/2fa/authenticate/", {"code": code(secret)})

    assert answer.status_code == 400
    assert "was sealed" in answer.content.decode()
    assert not is_in(other)


def test_second_factor__removed__ends_the_other_sessions_and_is_audited(ada):
    client, other = browser(), browser()
    log_in(client)
    secret, _codes = enrol(client)
    log_in(other)
    other.post("/accounts/2fa/authenticate/", {"code": code(secret)})
    assert is_in(other)

    client.post("/accounts/2fa/totp/deactivate/")

    assert is_in(client)
    assert not is_in(other)
    removed = [data for _actor, _target, data in events("factor.removed")]
    assert removed == ['{"kind":"totp"}', '{"kind":"recovery_codes"}']


def test_second_factor__taken_away_by_command__ends_sessions_and_lets_in_by_password(ada):
    from django.core.management import call_command

    client = browser()
    log_in(client)
    enrol(client)

    call_command("remove_second_factor", "ada")

    assert not is_in(client)
    assert log_in(browser())["Location"] == "/admin/"
    assert events("factor.removed")[0][0] == "system:remove_second_factor"


@pytest.mark.parametrize("rule", ["all", "privileged"])
def test_required_factor__missing__leads_to_the_enrolment_and_nothing_else_opens(
    ada, settings, system, rule
):
    from apps.access.services import grant

    grant(actor=system, to="user:ada", role="administrator")
    settings.REQUIRE_MFA = rule
    client = browser()
    log_in(client)

    for path in (
        "/admin/",
        "/admin/core/user/",
        "/admin/config/shop/production/",
        "/admin/rights/",
    ):
        answer = client.get(path)
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/totp/activate/")
    refused = client.get("/services")
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
    enrol(client)
    assert is_in(client)
    assert client.get("/services").status_code == 200


def test_required_factor__of_the_privileged__is_not_asked_of_a_viewer(ada, settings, system):
    from apps.access.services import grant

    grant(actor=system, to="user:ada", role="viewer")
    settings.REQUIRE_MFA = "privileged"
    client = browser()
    log_in(client)

    assert is_in(client)


def test_required_factor__last_one__cannot_be_removed(ada, settings):
    settings.REQUIRE_MFA = "all"
    client = browser()
    log_in(client)
    enrol(client)

    client.post("/accounts/2fa/totp/deactivate/")

    assert is_in(client)
    assert events("factor.removed") == []


def test_password__changed_by_oneself__ends_the_other_sessions(ada):
    client, other = browser(), browser()
    log_in(client)
    log_in(other)
    new = "eight yellow pears 5"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}

    weak = client.post("/accounts/password/change/", {**form, "password1": "x", "password2": "x"})
    assert weak.status_code == 200
    assert is_in(other)
    client.post("/accounts/password/change/", form)

    assert is_in(client)
    assert not is_in(other)
    assert log_in(browser(), password=new).status_code == 302
    assert events("user.password") == [("user:ada", "user:ada", "{}")]


def test_deactivation__ends_sessions__and_activation_does_not_bring_them_back(ada, system):
    from apps.access.people import update_person

    client = browser()
    log_in(client)

    update_person(actor=system, user=ada, is_active=False, is_superuser=False)
    assert not is_in(client)
    update_person(actor=system, user=ada, is_active=True, is_superuser=False)

    assert not is_in(client)


def test_open_stream__ends_with_the_password_it_was_opened_under(ada, system):
    from apps.access.people import set_password
    from apps.access.selectors import actor_of_user, still_valid
    from apps.core import clock

    actor = actor_of_user(ada)
    assert still_valid(actor, now=clock.now()) is not None

    set_password(actor=system, user=ada, password="eight yellow pears 5")

    assert still_valid(actor, now=clock.now()) is None


def test_open_stream__of_a_session__ends_when_the_session_does(ada):
    from apps.access.selectors import still_valid
    from apps.core import clock
    from apps.delivery.requests import Asked, find_actor

    client = browser()
    log_in(client)
    cookie = f"sessionid={client.session.session_key}"
    asked = Asked("GET", "/stream", {"cookie": cookie}, "", {}, None)
    actor = find_actor(asked)
    now = clock.now()

    assert still_valid(actor, now=now + timedelta(hours=23)) is not None
    assert still_valid(still_valid(actor, now=now), now=now + timedelta(hours=24)) is None


@pytest.mark.parametrize("path", ["/admin/", "/services"])
@pytest.mark.parametrize(
    ("minutes", "step", "stays"),
    [(119, 119, True), (121, 121, False), (23 * 60 + 59, 60, True), (24 * 60 + 1, 60, False)],
)
def test_session__idle_or_old__ends(ada, monkeypatch, path, minutes, step, stays):
    from apps.core import clock

    client = browser()
    log_in(client)
    now = clock.now()
    passed = 0
    while passed < minutes:
        passed = min(passed + step, minutes)
        moment = now + timedelta(minutes=passed)
        monkeypatch.setattr(clock, "now", lambda at=moment: at)
        answer = client.get(path)

    assert (answer.status_code == 200) is stays


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (LOGIN, {"username": "a\x00b", "password": "x"}),
        (LOGIN, {"username": "a" * 5_000, "password": "x" * 50_000}),
        (LOGIN, {}),
        ("/accounts/2fa/authenticate/", {"code": "1"}),
        ("/accounts/2fa/keys/login/", {"credential": "{}"}),
        ("/accounts/2fa/keys/login/", {"credential": '{"rawId":[1]}'}),
        ("/accounts/2fa/keys/login/", {"credential": "x"}),
        ("/accounts/2fa/totp/activate/", {"code": "é"}),
        ("/accounts/2fa/keys/9/remove/", {}),
        ("/accounts/password/change/", {"oldpassword": "x"}),
        ("/accounts/signup/", {"username": "eve"}),
        ("/accounts/password/reset/", {"email": "x@example.com"}),
    ],
)
def test_odd_forms__outside__get_a_page(ada, path, form):
    assert browser().post(path, form).status_code in (200, 302, 400, 401, 404)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/accounts/2fa/totp/activate/", {"code": "é☃"}),
        ("/accounts/2fa/keys/add/", {"credential": "{}"}),
        ("/accounts/2fa/keys/add/", {"credential": "[]"}),
        ("/accounts/2fa/keys/9/edit/", {"name": "x"}),
        ("/accounts/2fa/codes/", {}),
        ("/accounts/2fa/codes/generate/", {}),
        ("/accounts/reauthenticate/", {"password": "x"}),
        ("/accounts/2fa/reauthenticate/", {"code": "x"}),
    ],
)
def test_odd_forms__inside__get_a_page(ada, path, form):
    client = browser()
    log_in(client)
    client.post("/accounts/reauthenticate/?next=/accounts/2fa/", {"password": PASSWORD})

    assert client.post(path, form).status_code in (200, 302, 400, 404, 405)


def test_pages__of_the_log_in__keep_the_strict_policy_and_load_nothing_from_elsewhere(ada):
    client = browser()
    outside = client.get(LOGIN)
    log_in(client)
    inside = client.get("/accounts/2fa/")

    for page in (outside, inside):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        scripts = re.search(r"script-src ([^;]*)", policy).group(1)
        assert "unsafe-inline" not in scripts
        assert "http" not in scripts
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page.content.decode())


def test_pages__of_keys__are_shown_and_a_key_can_be_renamed_and_removed(ada):
    from allauth.mfa.models import Authenticator

    data = {"name": "Blue key", "credential": {}}
    key = Authenticator.objects.create(user=ada, type="webauthn", data=data)
    client = browser()
    client.force_login(ada)
    client.post("/accounts/reauthenticate/?next=/accounts/2fa/", {"password": PASSWORD})
    place = f"/accounts/2fa/keys/{key.pk}/"

    for path in ("/accounts/2fa/", "/accounts/2fa/keys/", f"{place}remove/", f"{place}edit/"):
        assert client.get(path).status_code == 200, path
    assert client.post(f"{place}edit/", {"name": "Red key"}).status_code == 302
    assert "Red key" in client.get("/accounts/2fa/keys/").content.decode()
    assert client.post(f"{place}remove/").status_code == 302

    assert events("factor.removed") == [("user:ada", "user:ada", '{"kind":"webauthn"}')]
    assert is_in(client)

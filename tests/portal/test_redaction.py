"""Redaction from the timeline: choose the key, say why, confirm; the value is on no page after."""

import html
import re

import pytest

pytestmark = pytest.mark.django_db

LEAK = "postgres://app:canary-77aa-secret@db/shop"
PLACE = "/admin/config/shop/production/"


def text_of(answer):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


@pytest.fixture
def leaked(two_services, system):
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Base, Options
    from apps.registry.selectors import get_environment

    place = Place(two_services[0], get_environment("production"))
    for number, text in enumerate((f"a: 1\ndb: {LEAK}\n", "a: 2\n"), start=1):
        publishing.publish(
            actor=system,
            place=place,
            source=sources.from_text(text, "yaml"),
            options=Options(base=Base(number)),
        )
    return place


def redact(client, number=2, **members):
    form = {"key": "db", "message": "leaked by a mistake", "sure": "1"}
    return client.post(f"{PLACE}redact/{number}/", form | members)


def test_redact__chosen_and_confirmed__is_gone_and_shown_where(leaked, log_in):
    officer = log_in("sam", ("security-officer", "shop", None))
    history = officer.get(f"{PLACE}history/").content.decode()
    assert f"{PLACE}redact/2/" in history
    page = officer.get(f"{PLACE}redact/2/")
    assert "db — looks like a credential (Basic Auth" in text_of(page)
    assert "canary-77aa" not in page.content.decode()

    done = redact(officer)

    assert done.status_code == 302
    after = text_of(officer.get(done.headers["Location"]))
    assert "2 text(s) and 0 draft(s) changed" in after
    assert "The value is gone from production v2" in after
    assert "redacted" in text_of(officer.get(f"{PLACE}history/"))
    for address in ("history/", "diff/?from=2&to=3", "redact/2/"):
        assert "canary-77aa" not in officer.get(PLACE + address).content.decode()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"key": ""}, "Choose the key"),
        ({"message": " "}, "Say why"),
        ({"sure": ""}, "Confirm"),
        ({"key": "missing"}, "no such key"),
        ({"message": f"it was {LEAK}"}, "holds the value itself"),
    ],
)
def test_redact__what_is_refused__is_said_and_changes_nothing(leaked, log_in, members, words):
    from apps.configs.models import Redaction

    answer = redact(log_in("sam", ("security-officer", "shop", None)), **members)

    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not Redaction.objects.exists()


def test_redact__while_it_is_live__is_refused_naming_where(leaked, log_in):
    answer = redact(log_in("sam", ("security-officer", None, None)), number=3, key="a")

    assert answer.status_code == 422
    assert "live in shop@production" in text_of(answer)


def test_redact__is_for_security_officers(leaked, log_in):
    operator, nobody = log_in("ada", ("operator", None, None)), log_in("nora")

    assert "redact/" not in operator.get(f"{PLACE}history/").content.decode()
    for client, status in ((operator, 403), (nobody, 404)):
        assert client.get(f"{PLACE}redact/2/").status_code == status
        assert redact(client).status_code == status
    officer = log_in("sam", ("security-officer", None, None))
    assert officer.get(f"{PLACE}redact/99/").status_code == 404

"""A large file is rendered once, for every process: the second level of memory, in Redis."""

from dataclasses import replace

import pytest

from apps.access.policy import Place
from apps.configs.models import OverlaidDocument
from apps.configs.selectors.configurations import get_live
from apps.core.actor import system as system_actor
from apps.delivery import sharing
from apps.delivery.answers import Question
from apps.engine import formats
from apps.registry.selectors import get_environment, get_service

pytestmark = pytest.mark.django_db

SYSTEM = system_actor("test")
LARGE = {
    "section": {f"key_{n:04}": f"a sentence of no importance {n}" for n in range(300)},
    "hidden": {"word": "unspeakable"},
    "db": {"password": "${secret:pin}"},
}
FILES = ("json", "yaml", "toml", "xml", "env", "properties")


class Shelf(dict):
    """Stands for Redis: what is asked of it, and what it holds."""

    def set(self, name, value, ex):
        assert ex == sharing.KEPT_SECONDS
        self[name] = value


@pytest.fixture
def shelf(monkeypatch):
    """Redis as the second level knows it, in this process's memory."""
    made = Shelf()
    monkeypatch.setattr(sharing, "ask_redis", lambda ask, **_how: ask(made))
    return made


@pytest.fixture
def rendered(monkeypatch):
    """The formats that something was rendered in, in turn."""
    found = []
    render = formats.render

    def counted(tree, name):
        found.append(name)
        return render(tree, name)

    monkeypatch.setattr("apps.delivery.answers.formats.render", counted)
    return found


@pytest.fixture
def reader(shop, make_api):
    """Who may read all of a shop that has a large document."""
    admin = make_api("administrator")
    where = {"service": "shop", "environment": "production"}
    assert admin.post("/secrets", {**where, "name": "pin", "value": "4711-0815"}).status_code == 201
    publish(admin, LARGE)
    return admin


def publish(api, config, **members):
    answer = api.post(
        "/config/shop",
        {"environment": "production", "config": config, "on_stale": "overwrite", **members},
    )
    assert answer.status_code == 201, answer.content


def fetch(api, address):
    answer = api.get(address)
    assert answer.status_code == 200, answer.content
    return answer


def without_revision(answer):
    return {name: value for name, value in answer.headers.items() if name != "X-Config-Revision"}


@pytest.mark.parametrize("name", FILES)
def test_large_file__of_another_process__is_not_rendered_again(reader, shelf, rendered, name):
    first = fetch(reader, f"/config/shop.{name}")
    assert (len(rendered), len(shelf)) == (1, 1)

    again = fetch(reader, f"/config/shop.{name}")

    assert (len(rendered), len(shelf)) == (1, 1)
    assert again.content == first.content
    assert without_revision(again) == without_revision(first)


@pytest.mark.parametrize("name", FILES)
def test_what_lies_there__says_nothing_to_who_reads_it(reader, shelf, name):
    fetch(reader, f"/config/shop.{name}")

    ((place, sealed),) = shelf.items()

    for word in (b"importance", b"unspeakable", b"shop", b"production", b"pin"):
        assert word not in sealed
        assert word not in place.encode()


@pytest.mark.parametrize(
    "question",
    [
        "/config/shop",
        "/config/shop?view=source",
        "/config/shop.yaml?key=section.*",
        "/config/shop.yaml?section=section",
        "/config/shop.yaml?reveal=true",
        "/config/shop/value?key=section.key_0001",
    ],
)
def test_what_is_there_already_or_narrowed_or_revealed__is_not_shared(reader, shelf, question):
    fetch(reader, question)

    assert not shelf


def test_small_document__is_rendered_by_each(reader, shelf, rendered):
    publish(reader, {"a": 1})
    rendered.clear()  # publishing renders too

    fetch(reader, "/config/shop.yaml")
    fetch(reader, "/config/shop.yaml")

    assert (len(rendered), len(shelf)) == (2, 0)


def test_version__after_it__is_another_file(reader, shelf):
    before = fetch(reader, "/config/shop.yaml")
    publish(reader, {**LARGE, "hidden": {"word": "said"}})

    after = fetch(reader, "/config/shop.yaml")

    assert len(shelf) == 2
    assert after.content == before.content.replace(b"unspeakable", b"said")
    assert fetch(reader, "/config/shop.yaml?version=1").content == before.content


def test_reader__who_does_not_see_a_key__is_given_his_own(reader, shelf, make_api, rendered):
    from apps.access import key_rules, services
    from apps.access.policy import EVERYWHERE

    rule = key_rules.create_key_rule(actor=SYSTEM, pattern="hidden.**", place=EVERYWHERE)
    holder = f"service-account:{reader.account.slug}"
    services.grant(actor=SYSTEM, to=holder, verb="read", on=rule)
    whole = fetch(reader, "/config/shop.yaml")

    part = fetch(make_api("viewer"), "/config/shop.yaml")

    assert (b"unspeakable" in whole.content, b"unspeakable" in part.content) == (True, False)
    assert (len(shelf), len(rendered)) == (2, 2)
    assert fetch(reader, "/config/shop.yaml").content == whole.content


def test_redacted__the_file_from_before__is_given_to_nobody(reader, shelf):
    before = fetch(reader, "/config/shop.yaml")
    publish(reader, {**LARGE, "hidden": {"word": "said"}})

    done = reader.post(
        "/config/shop/redact", {"environment": "production", "version": 1, "key": "hidden.word"}
    )

    assert done.status_code == 200, done.content
    after = fetch(reader, "/config/shop.yaml?version=1").content
    assert (b"unspeakable" in before.content, b"unspeakable" in after) == (True, False)
    assert b"redacted" in after


@pytest.mark.parametrize("put", [b"", b"nothing of ours", "one byte", "another file"])
def test_what_somebody_else_put_there__is_made_anew(reader, shelf, put):
    first = fetch(reader, "/config/shop.yaml")
    (place,) = shelf
    sealed = shelf[place]
    if put == "one byte":
        put = sealed[:-20] + bytes([sealed[-20] ^ 1]) + sealed[-19:]
    elif put == "another file":
        fetch(reader, "/config/shop.xml")
        (put,) = (value for name, value in shelf.items() if name != place)
    shelf[place] = put

    again = fetch(reader, "/config/shop.yaml")

    assert again.content == first.content
    assert shelf[place] != put
    assert len(shelf[place]) == len(sealed)


def test_another_program_or_signing_key__has_files_of_its_own(reader, shelf, settings, monkeypatch):
    fetch(reader, "/config/shop.yaml")

    settings.SECRET_KEY = "another key, long enough for everything that is signed by it"
    fetch(reader, "/config/shop.yaml")
    monkeypatch.setattr(sharing, "_PROGRAM", "another")
    fetch(reader, "/config/shop.yaml")

    assert len(shelf) == 3


def test_variant__with_the_same_text_and_secrets_elsewhere__is_another_file(reader, shelf):
    """`$${secret:pin}` is text, `${secret:pin}` a secret, and both stand there alike."""
    place = Place(get_service("shop"), get_environment("production"))
    one = get_live(actor=SYSTEM, place=place)
    overlaid = OverlaidDocument(version=one.row, effective=one.row.effective, secrets="[]")
    other = replace(one, overlaid=overlaid)

    flat = [sharing.answer_shared(each, Question(format="env")).body for each in (one, other)]

    assert len(shelf) == 2
    assert [b"not revealed" in each for each in flat] == [True, False]


@pytest.mark.postgresql
def test_redis__real__holds_the_file_for_a_day(reader, rendered):
    from django_redis import get_redis_connection

    redis = get_redis_connection()
    before = {*redis.scan_iter(f"{sharing.REDIS_PREFIX}*")}

    first = fetch(reader, "/config/shop.toml")
    again = fetch(reader, "/config/shop.toml")

    assert (len(rendered), again.content) == (1, first.content)
    (place,) = {*redis.scan_iter(f"{sharing.REDIS_PREFIX}*")} - before
    assert 0 < redis.ttl(place) <= sharing.KEPT_SECONDS

"""Drafts that are handed over: who sees them, what is published, in whose name."""

import pytest

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production/"


def text(answer):
    return " ".join(answer.content.decode().split())


def sent(content, base="1", **more):
    fields = {"content": content, "format": "yaml", "base_version": base, "page": "p"}
    return {**fields, "message": "Slower", **more}


@pytest.fixture
def people(two_services, log_in):
    """A developer, and one who publishes."""
    dev = log_in("dev", ("developer", "shop", None))
    return dev, log_in("olu", ("operator", "shop", None))


@pytest.fixture
def handed(people):
    """The address of what the developer handed over."""
    from apps.configs.models import Change

    dev, _olu = people
    assert dev.post(f"{PLACE}propose/", sent("a: 2\n")).status_code == 302
    return f"{PLACE}proposals/{Change.objects.get().pk}/"


def known(page):
    return page.split('name="known" value="')[1].split('"')[0]


def live():
    from apps.configs.models import Live

    return Live.objects.get(configuration__service__slug="shop").version


def test_draft__before_it_is_handed_over__is_its_authors_alone(people):
    dev, olu = people
    assert dev.post(f"{PLACE}draft/", sent("a: 2\n")).status_code == 200

    assert "wait to be published" not in text(olu.get("/admin/")).replace("waits", "wait")
    assert "Review and hand over" in text(dev.get(PLACE))


def test_draft__handed_over__is_seen_as_a_difference_and_published_with_its_author(
    people, handed, log_in
):
    from apps.audit.models import AuditEvent

    dev, olu = people
    for at in ("/admin/", PLACE):
        assert f'href="{handed}">shop@production</a>' in text(olu.get(at))
    assert f'href="{PLACE}">1 draft waits</a>' in text(olu.get("/admin/"))
    assert "<b>Handed over</b>" in text(dev.get(PLACE))
    page = text(olu.get(handed))
    assert "<code>a</code></th><td><code>1</code></td><td><code>2</code>" in page
    assert "Slower" in page

    done = olu.post(handed, {"known": known(page), "live": "1", "message": "Slower"}, follow=True)

    assert "Published version 2, written by dev." in text(done)
    version = live()
    assert (version.author, version.drafted_by, version.message) == (
        "user:olu",
        "user:dev",
        "Slower",
    )
    assert "user:olu, written by user:dev" in text(olu.get(f"{PLACE}history/"))
    assert '"drafted_by":"user:dev"' in AuditEvent.objects.order_by("-number").first().data
    assert olu.get(handed).status_code == 404
    assert "This is your draft" not in text(dev.get(PLACE))


@pytest.mark.parametrize("role", ["viewer", "developer", "auditor"])
def test_draft__handed_over__is_not_for_those_who_may_not_publish(handed, log_in, role):
    other = log_in("eve", (role, "shop", None))

    assert handed not in text(other.get("/admin/"))
    assert handed not in text(other.get(PLACE))
    assert other.get(handed).status_code == 403


def test_draft__that_its_author_changed_since__is_not_published_unseen(people, handed):
    dev, olu = people
    page = text(olu.get(handed))
    assert dev.post(f"{PLACE}draft/", sent("a: 3\n")).status_code == 200

    refused = olu.post(handed, {"known": known(page), "live": "1"}, follow=True)

    assert "Its author has changed the draft meanwhile." in text(refused)
    assert live().number == 1
    assert "<td><code>3</code></td>" in text(refused)


def test_draft__taken_or_sent_back__waits_for_nobody(people, handed):
    dev, olu = people
    assert dev.post(f"{PLACE}propose/", {"take_back": "1"}).status_code == 302
    assert olu.get(handed).status_code == 404
    dev.post(f"{PLACE}propose/", sent("a: 2\n"))
    assert olu.get(handed).status_code == 200

    olu.post(handed, {"act": "send_back", "message": "Too slow"})

    assert olu.get(handed).status_code == 404
    assert "<b>Sent back</b> by user:olu: Too slow" in text(dev.get(PLACE))
    assert live().number == 1


def test_draft__on_an_earlier_version__keeps_what_was_published_since(people, handed):
    _dev, olu = people
    olu.post(f"{PLACE}publish/", sent("a: 1\nb: 5\n"))
    page = text(olu.get(handed))
    assert "Version 2 is live: what was published since is kept." in page

    olu.post(handed, {"known": known(page), "live": "2"})

    assert live().effective.content == '{"a":2,"b":5}'


def test_draft__that_refers_to_what_its_author_may_not_read__is_refused(
    people, two_services, log_in
):
    from apps.configs.models import Change

    dev, _olu = people
    dev.post(f"{PLACE}propose/", sent("a: ${vault-door@bunker:a}\n"))
    root = log_in("root", superuser=True)

    page = text(root.get(f"{PLACE}proposals/{Change.objects.get().pk}/"))

    assert "It cannot be published as it is." in page
    assert 'value="publish"' not in page
    known_ = {"known": known(page), "live": "1"}
    root.post(f"{PLACE}proposals/{Change.objects.get().pk}/", known_)
    assert live().number == 1


def test_draft__where_keys_are_hidden__is_for_those_who_read_every_key(people, system, log_in):
    from apps.access import key_rules
    from apps.access.policy import Place
    from apps.configs.models import Change

    dev, olu = people
    key_rules.create_key_rule(actor=system, pattern="a", place=Place())
    root = log_in("root", superuser=True)
    assert dev.post(f"{PLACE}propose/", sent("b: 1\n")).status_code == 302
    handed = f"{PLACE}proposals/{Change.objects.get().pk}/"

    assert olu.get(handed).status_code == 404
    page = text(root.get(handed))
    root.post(handed, {"known": known(page), "live": "1"})

    assert live().effective.content == '{"a":1,"b":1}'


def test_draft__that_cannot_be_read__is_kept_and_not_handed_over(people):
    from apps.configs.models import Change

    dev, _olu = people

    answer = dev.post(f"{PLACE}propose/", sent("a: [\n"), follow=True)

    assert answer.status_code == 200
    change = Change.objects.get()
    assert (change.content, change.handed_at) == ("a: [\n", None)


def test_draft__of_somebody_without_edit__is_refused(two_services, log_in):
    from apps.configs.models import Change

    eve = log_in("eve", ("viewer", "shop", None))

    assert eve.post(f"{PLACE}propose/", sent("a: 2\n")).status_code == 403
    assert not Change.objects.exists()


def test_draft__that_clashes_with_what_was_published_since__names_the_keys(people, handed):
    _dev, olu = people
    text(olu.get(handed))
    published = olu.post(f"{PLACE}publish/", sent("a: 5\n", base="1"))
    assert live().number == 2, published.content

    page = text(olu.get(handed))

    assert "Both this draft and version 2 change the same: a. Send it back" in page
    assert "on_stale" not in page
    assert "what was published since is kept" not in page


def test_draft__of_who_does_not_see_all_keys__is_not_shown_as_taking_them_away(people, operator):
    from apps.configs.models import Change

    dev, _olu = people
    rule = operator.post("/key-rules", {"pattern": "hidden.**", "service": "shop"})
    assert rule.status_code == 201
    dev.post(f"{PLACE}propose/", sent("a: 2\n"))
    from django.test import Client

    from apps.core.models import User

    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    page = text(root.get(f"{PLACE}proposals/{Change.objects.get().pk}/"))

    assert "Publish it to production" in page
    assert "p-sides" not in page
    assert "<code>a</code>" in page


@pytest.mark.parametrize("act", ["publish", "send_back"])
def test_draft__that_another_published_first__is_said_to_wait_no_more(people, handed, log_in, act):
    _dev, olu = people
    second = log_in("pia", ("operator", "shop", None))
    page = text(second.get(handed))
    olu.post(handed, {"known": known(page), "live": "1"})

    late = second.post(handed, {"act": act, "known": known(page), "live": "1"}, follow=True)

    assert late.status_code == 200
    assert "This draft waits no more" in text(late)
    assert live().number == 2


def test_draft__in_a_cycle__tells_who_publishes_only_the_keys_that_he_may_read(people, system):
    from apps.access import services
    from apps.access.policy import EVERYWHERE, Place
    from apps.configs import sources
    from apps.configs.models import Change
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options
    from apps.configs.services.places import create_service
    from apps.registry.selectors import get_environment, get_service

    dev, olu = people
    production = get_environment("production")
    gate, cellar = (create_service(actor=system, slug=slug) for slug in ("gate", "cellar"))
    for at, document in (
        (cellar, {"stairs": "${shop:a}"}),
        (get_service("vault-door"), {"lock": "${cellar:stairs}"}),
        (gate, {"way": "${vault-door:lock}"}),
    ):
        publishing.publish(
            actor=system,
            place=Place(at, production),
            source=sources.from_tree(document),
            options=Options(on_stale="overwrite"),
        )
    services.grant(actor=system, to="user:dev", role="viewer", on=EVERYWHERE)
    services.grant(actor=system, to="user:olu", role="viewer", on=Place(gate))
    dev.post(f"{PLACE}propose/", sent("a: ${gate:way}\n"))

    page = text(olu.get(f"{PLACE}proposals/{Change.objects.get().pk}/"))

    assert (
        "a comes from itself, by way of others: shop@production:a → gate@production:way →" in page
    )
    assert "stairs" not in page

"""Retiring in the portal, and what a deletion says before it is done."""

import pytest

from apps.access.policy import Place
from apps.configs import sources
from apps.configs.services import publishing, templates
from apps.configs.services.bases import Base
from apps.configs.services.publishing import Options

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production/"


def place_of(service, environment="production"):
    from apps.registry.selectors import get_environment, get_service

    return Place(get_service(service), get_environment(environment))


def publish(system, place, text, extends=None, base=None):
    publishing.publish(
        actor=system,
        place=place,
        source=sources.from_text(text, "yaml", extends),
        options=Options(base=Base(base)),
    )


def live(service="shop"):
    from apps.configs.models import Live

    return Live.objects.get(configuration__service__slug=service).version


def text_of(answer):
    return " ".join(answer.content.decode().split())


def test_retire__on_its_page__makes_a_retired_version_and_the_page_leads_to_bringing_it_back(
    two_services, log_in
):
    ada = log_in("ada", ("operator", "shop", None))
    assert f"{PLACE}retire/" in text_of(ada.get(PLACE))
    assert "410 Gone" in text_of(ada.get(f"{PLACE}retire/"))

    answer = ada.post(f"{PLACE}retire/", {"message": "gone", "base_version": "1"}, follow=True)

    assert (live().retired, live().number, live().message) == (True, 2, "gone")
    assert "shop@production is retired since version 2." in text_of(answer)
    assert f"{PLACE}rollback/1/" in text_of(answer)
    assert f"{PLACE}retire/" not in text_of(answer)
    assert "Retire version" not in text_of(ada.get(f"{PLACE}retire/"))


def test_retire__of_one_who_may_not_publish__is_neither_shown_nor_done(two_services, log_in):
    dora = log_in("dora", ("developer", "shop", None))

    assert "retire/" not in text_of(dora.get(PLACE))
    assert dora.post(f"{PLACE}retire/").status_code == 403
    assert not live().retired


def test_retire__of_what_others_refer_to__names_those_one_may_list_and_has_no_button(
    two_services, log_in, system
):
    reference = "a: ${shop@production:a}\n"
    publish(system, place_of("vault-door", "bunker"), reference, base=1)
    both = log_in("ines", ("administrator", None, None))
    one = log_in("ada", ("operator", "shop", None))

    named, counted = (text_of(each.get(f"{PLACE}retire/")) for each in (both, one))

    assert "vault-door@bunker" in named
    assert "vault-door" not in counted
    assert "1 that you may not see" in counted
    assert "Retire version" not in named + counted
    assert one.post(f"{PLACE}retire/", {"base_version": "1"}).status_code == 302
    assert not live().retired


def test_retire__after_somebody_published__is_refused(two_services, log_in, system):
    publishing.patch(
        actor=system, place=place_of("shop"), apply=lambda _tree: {"a": 2}, options=Options()
    )

    log_in("ada", superuser=True).post(f"{PLACE}retire/", {"base_version": "1"})

    assert not live().retired


def test_deleting__a_service_or_environment_with_something_live__links_to_retiring_it(
    two_services, log_in
):
    ines = log_in("ines", superuser=True)
    shop = two_services[0]
    production = place_of("shop").environment

    for address in (
        f"/admin/registry/service/{shop.pk}/delete/",
        f"/admin/registry/environment/{production.pk}/delete/",
    ):
        page = text_of(ines.get(address))
        assert f'href="{PLACE}retire/"' in page, address
        assert 'name="post"' not in page, address
        assert "Summary" not in page, address


def test_deleting__a_service_without_anything_live__says_what_happens_and_does_it(
    two_services, log_in, system
):
    from apps.configs.services.places import create_service

    empty = create_service(actor=system, slug="empty")
    ines = log_in("ines", superuser=True)
    address = f"/admin/registry/service/{empty.pk}/delete/"

    page = text_of(ines.get(address))
    done = ines.post(address, {"post": "yes"})

    assert "its name is never used again" in page
    assert "Nothing is erased" in page
    assert done.status_code == 302
    empty.refresh_from_db()
    assert empty.deleted_at is not None


def test_deleting__a_template__names_its_users_and_its_heirs(two_services, log_in, system):
    base = templates.create_template(actor=system, slug="base", body=templates.Body({"b": 1}))
    heir = templates.Body({"c": 1}, None, [{"template": "base"}])
    templates.create_template(actor=system, slug="heir", body=heir)
    publish(system, place_of("shop", "staging"), "a: 1\n", extends=[{"template": "base"}])

    page = text_of(
        log_in("ines", superuser=True).get(f"/admin/configs/template/{base.template.pk}/delete/")
    )

    assert "/admin/config/shop/staging/" in page
    assert ">heir</a>" in page
    assert 'name="post"' not in page


def test_deleting__an_environment_with_a_secret__leads_to_it(two_services, log_in, make_api):
    secret = {"service": "shop", "environment": "staging", "name": "pin", "value": "v4lue"}
    assert make_api("administrator").post("/secrets", secret).status_code == 201
    staging = place_of("shop", "staging").environment

    page = text_of(
        log_in("ines", superuser=True).get(f"/admin/registry/environment/{staging.pk}/delete/")
    )

    assert "/admin/config/shop/staging/secrets/pin/" in page
    assert "v4lue" not in page

"""The lists of the admin: their filters, and what they count."""

from datetime import timedelta

import pytest

from apps.access import services
from apps.access.people import create_group
from apps.access.policy import Place
from apps.configs import sources
from apps.configs.services import places, publishing, templates
from apps.configs.services.bases import Base, Options
from apps.core import clock
from apps.registry.selectors import get_environment

pytestmark = pytest.mark.django_db


def names(client, address, *filters):
    """The rows of a list, which offers at least these filters."""
    answer = client.get(address)
    assert answer.status_code == 200
    assert set(filters) <= {each.title for each in answer.context["cl"].filter_specs}
    return sorted(str(row) for row in answer.context["cl"].result_list)


def test_services__by_owner_and_label__are_those_that_have_it(two_services, log_in, system):
    group = create_group(actor=system, name="till")
    labels = {"tier": "1", "a__range": "b"}
    places.update_service(actor=system, service=two_services[0], owner="till", labels=labels)
    admin = log_in("ines", superuser=True)
    address = "/admin/registry/service/"

    assert names(admin, f"{address}?owner__id__exact={group.pk}", "owner") == ["shop"]
    for label in ("tier", "tier=1", "a__range=b"):
        assert names(admin, f"{address}?label={label}") == ["shop"]
    assert names(admin, f"{address}?label=tier=2") == []
    assert names(admin, f"{address}?label=") == ["shop", "vault-door"]
    assert 'name="label"' in admin.get(address).content.decode()


def test_environments__by_protection_and_parent__are_those(two_services, log_in, system):
    base = get_environment("bunker")
    places.update_environment(actor=system, environment=base, protected=True)
    places.create_environment(actor=system, slug="cellar", parent="bunker")
    admin = log_in("ines", superuser=True)
    address = "/admin/registry/environment/"

    offered = ("is protected", "parent")
    assert names(admin, f"{address}?is_protected__exact=1", *offered) == ["bunker"]
    assert "bunker" not in names(admin, f"{address}?is_protected__exact=0")
    assert names(admin, f"{address}?parent__id__exact={base.pk}") == ["cellar"]


def test_templates__by_live_use__follow_what_the_person_may_know_of(two_services, log_in, system):
    body = templates.Body({"b": 2}, {}, [])
    for slug in ("used", "secretly", "spare"):
        templates.create_template(actor=system, slug=slug, name=slug, body=body)
    environments = ("production", "bunker")
    for service, environment, slug in zip(
        two_services, environments, ("used", "secretly"), strict=True
    ):
        publishing.publish(
            actor=system,
            place=Place(service, get_environment(environment)),
            source=sources.from_text("a: 1\n", "yaml", extends=[{"template": slug}]),
            options=Options(base=Base(1)),
        )
    admin = log_in("ines", superuser=True)
    viewer = log_in("vera", ("viewer", "shop", None))
    address = "/admin/configs/template/"

    assert names(admin, f"{address}?used=yes") == ["secretly", "used"]
    assert names(admin, f"{address}?used=no") == ["spare"]
    assert names(viewer, f"{address}?used=yes") == ["used"]
    assert names(viewer, f"{address}?used=no") == ["secretly", "spare"]


def test_accounts__by_environment_and_live_tokens__count_no_ended_ones(shop, log_in, system):
    staging = get_environment("staging")
    for slug in ("alive", "ended"):
        account = services.create_account(actor=system, slug=slug, environment=staging)
        _lasting, _raw = services.create_token(actor=system, account=account)
        gone, _raw = services.create_token(actor=system, account=account)
        services.withdraw_token(actor=system, token=gone)
    account.tokens.update(expires_at=clock.now() - timedelta(seconds=1))
    services.create_account(actor=system, slug="bare")
    admin = log_in("ines", superuser=True)
    address = "/admin/access/serviceaccount/"

    rows = {str(row): row.live_tokens for row in admin.get(address).context["cl"].result_list}

    assert rows == {"alive": 1, "bare": 0, "ended": 0}
    assert names(admin, f"{address}?live=yes") == ["alive"]
    assert names(admin, f"{address}?live=no") == ["bare", "ended"]
    assert names(admin, f"{address}?environment__id__exact={staging.pk}", "environment") == [
        "alive",
        "ended",
    ]

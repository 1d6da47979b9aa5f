"""One client for each kind of actor, and what they ask about."""

import pytest

from tests.conftest import client_with
from tests.contracts.actors import ACTORS, HIDDEN, VALUE


def document(pin):
    """A version with a free key and a ruled one, and a flag of each kind."""
    flag = {"enabled": True, "variants": {"one": HIDDEN}}
    return {
        "free": pin,
        "ruled": {"pin": pin, "word": HIDDEN},
        "flags": {"open": True, "ruled": flag},
        "db": {"$secret": "pin"},
    }


@pytest.fixture(scope="module")
def world(module_rows):
    """The configuration, the rule, a secret, and one client for each kind of actor."""
    from datetime import timedelta

    from apps.access import key_rules, services
    from apps.access.policy import EVERYWHERE as ALL
    from apps.access.policy import Place
    from apps.configs.services import sections
    from apps.configs.services.places import create_service
    from apps.core import clock
    from apps.core.actor import system as system_actor
    from apps.registry.selectors import get_environment

    system = system_actor("test")
    production = get_environment("production")
    shop, other = (create_service(actor=system, slug=slug) for slug in ("shop", "other"))
    admin = client_with("administrator")
    sections.create_section(actor=system, service=shop, key="flags", type="feature_flags")
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": VALUE}
    assert admin.post("/secrets", secret).status_code == 201
    turning = {**secret, "name": "turning", "rotation": {"rotator": "password"}}
    assert admin.post("/secrets", turning).status_code == 201
    for pin in (1, 2):
        body = {"environment": "production", "config": document(pin), "on_stale": "overwrite"}
        assert admin.post("/config/shop", body).status_code == 201
    rule = key_rules.create_key_rule(actor=system, pattern="**.ruled", place=ALL)
    where = {
        "here": Place(shop, production),
        "service": Place(shop),
        "environment": Place(environment=production),
        "all": ALL,
        "other": Place(other),
        "rule": rule,
    }
    clients = {}
    for name, (grants, _free, _ruled) in ACTORS.items():
        api = client_with()
        for what, place in grants:
            known = what in ("list", "read", "publish")
            given = {"verb": what} if known else {"role": what}
            to = f"service-account:{api.account.slug}"
            services.grant(actor=system, to=to, on=where[place], **given)
        clients[name] = api
    ended = clients["ended"]
    soon = clock.now() + timedelta(milliseconds=30)
    to = f"service-account:{ended.account.slug}"
    services.grant(actor=system, to=to, role="administrator", on=ALL, expires_at=soon)
    while clock.now() <= soon:
        pass
    return clients

"""People with rights, logged in, and two services of which one is hidden from most."""

import pytest


def logged_in(username, *grants, superuser=False):
    """The client of a new person with grants: ``logged_in("ada", ("viewer", "shop", None))``."""
    from django.test import Client

    from apps.access import services
    from apps.access.policy import Place
    from apps.core.actor import system
    from apps.core.models import User
    from apps.registry.selectors import get_environment, get_service

    person = User.objects.create_user(username, is_staff=True, is_superuser=superuser)
    for role, service, environment in grants:
        services.grant(
            actor=system("test"),
            to=f"user:{username}",
            role=role,
            on=Place(
                get_service(service) if service else None,
                get_environment(environment) if environment else None,
            ),
        )
    client = Client(raise_request_exception=False)
    client.force_login(person)
    client.person = person
    return client


@pytest.fixture
def log_in(db):
    """Logs a person in with grants."""
    return logged_in


@pytest.fixture
def two_services(shop, system):
    """``shop`` with a version in production, and ``vault-door``, which nobody is to hear of."""
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import places, publishing, sections
    from apps.configs.services.publishing import Options
    from apps.registry.selectors import get_environment

    places.create_environment(actor=system, slug="bunker", rank=90)
    hidden = places.create_service(actor=system, slug="vault-door")
    for service, environment in ((shop, "production"), (hidden, "bunker")):
        sections.create_section(actor=system, service=service, key="settings")
        publishing.publish(
            actor=system,
            place=Place(service, get_environment(environment)),
            source=sources.from_text("a: 1\n", "yaml"),
            options=Options(),
        )
    return shop, hidden

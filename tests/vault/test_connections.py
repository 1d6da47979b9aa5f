"""Connections: who makes them, what is refused, and that what they use stays."""

import ipaddress

import pytest

from apps.audit.models import AuditEvent
from apps.engine.errors import DomainError, ForbiddenError, InvalidError, NotFoundError
from apps.vault import connections, schedules, services
from apps.vault.connections import ConnectionData, save_connection

pytestmark = pytest.mark.django_db

HOOK = {"rotator": "webhook", "connection": "hook"}


@pytest.fixture(autouse=True)
def _private(settings):
    settings.PRIVATE_TARGETS = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def credential(make_secret):
    return make_secret(slug="hook-key", value="signing key of the hook")


@pytest.fixture
def data(credential):
    """Makes the data of a webhook, with some of it changed."""

    def make(**more):
        members = {"slug": "hook", "kind": "webhook", "address": "https://127.0.0.1:9/", **more}
        return ConnectionData(credential=credential, **members)

    return make


def postgres(**more):
    return {
        "kind": "postgres",
        "address": "postgres://127.0.0.1:5432/shop",
        "login": "rotator",
        "roles": ["app_a", "app_b"],
        **more,
    }


def test_connection__saved__is_in_the_ledger_without_the_value(data, system):
    made = save_connection(actor=system, data=data())
    save_connection(actor=system, data=data(services=["shop"]), connection=made)

    acts = AuditEvent.objects.filter(target="connection:hook").order_by("number")
    assert [each.action for each in acts] == ["connection.created", "connection.changed"]
    assert not any("signing key" in each.data for each in acts)
    assert made.history.count() == 2


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"address": "https://169.254.169.254/latest"}, "/address"),
        ({"address": "https://10.0.0.1/"}, "/address"),
        ({"address": "https://no-such-host.invalid/"}, "/address"),
        ({"address": "http://127.0.0.1/"}, "/address"),
        ({"address": "file:///etc/passwd"}, "/address"),
        ({"kind": "gopher"}, "/kind"),
        ({"tls": "disable"}, "/tls"),
        ({"roles": ["a"]}, "/roles"),
        ({"authorities": "no certificate"}, "/authorities"),
        ({"authorities": "# Ünser\nno certificate"}, "/authorities"),
        ({"slug": "a b"}, "/slug"),
        ({"services": ["a b"]}, "/slug"),
        ({"services": ["shop@"]}, "/slug"),
        (postgres(address="postgres://u:p@127.0.0.1/shop"), "/address"),
        (postgres(address="postgres://127.0.0.1/shop?host=/tmp"), "/address"),
        (postgres(address="postgres://127.0.0.1,10.0.0.1/shop"), "/address"),
        (postgres(address="postgres://127.0.0.1/"), "/address"),
        (postgres(address="postgres:///shop"), "/address"),
        (postgres(login=""), "/roles"),
        (postgres(roles=["rotator", "app_a"]), "/roles"),
        (postgres(roles=["x" * 64]), "/roles"),
        (postgres(roles=["a\nb"]), "/roles"),
        (postgres(tls="prefer"), "/tls"),
    ],
)
def test_connection__wrong__is_refused_and_says_where(data, system, members, pointer):
    with pytest.raises(InvalidError) as refused:
        save_connection(actor=system, data=data(**members))

    assert refused.value.problems[0].pointer == pointer


def test_connection__same_name__is_refused(data, system):
    save_connection(actor=system, data=data())

    with pytest.raises(InvalidError):
        save_connection(actor=system, data=data(slug="HOOK"))


@pytest.fixture
def officer(make_api):
    from apps.access.selectors import actor_of_user

    return actor_of_user(make_api("security-officer").account.user)


def test_connection__by_who_is_no_administrator__is_refused(data, officer, system):
    made = save_connection(actor=system, data=data())

    with pytest.raises(ForbiddenError):
        save_connection(actor=officer, data=data(slug="mine"))
    with pytest.raises(ForbiddenError):
        connections.delete_connection(actor=officer, connection=made)


@pytest.mark.parametrize("opened", ["shop", "shop@production", "Shop@Production"])
def test_rotation__naming_a_connection__needs_an_administrator_or_its_service(
    data, officer, system, make_secret, opened
):
    made = save_connection(actor=system, data=data())
    secret = make_secret()

    with pytest.raises(InvalidError, match="no connection here"):
        services.update_secret(actor=officer, secret=secret, changes={"rotation": HOOK})
    save_connection(actor=system, data=data(services=["shop@staging"]), connection=made)
    with pytest.raises(InvalidError, match="no connection here"):
        services.update_secret(actor=officer, secret=secret, changes={"rotation": HOOK})
    save_connection(actor=system, data=data(services=[opened]), connection=made)
    services.update_secret(actor=officer, secret=secret, changes={"rotation": HOOK})

    assert secret.rotation.connection == made


def test_delete__what_a_connection_uses__is_refused_and_names_it(data, officer, system, credential):
    save_connection(actor=system, data=data())

    with pytest.raises(InvalidError, match="hook"):
        services.delete_secret(actor=system, secret=credential)
    with pytest.raises(InvalidError, match="Connections use it: 1"):
        services.delete_secret(actor=officer, secret=credential)


def test_delete__connection_that_a_rotation_uses__is_refused_until_it_is_gone(
    data, system, make_secret
):
    made = save_connection(actor=system, data=data())
    secret = make_secret(rotation=HOOK)

    with pytest.raises(InvalidError, match="shop@production/pin"):
        connections.delete_connection(actor=system, connection=made)
    services.update_secret(actor=system, secret=secret, changes={"rotation": None})
    connections.delete_connection(actor=system, connection=made)

    with pytest.raises(DomainError):
        make_secret(slug="late", rotation=HOOK)
    assert not connections.list_connections().exists()


def test_narrowed__where_a_rotation_uses_it__is_refused_and_names_it(data, system, make_secret):
    made = save_connection(actor=system, data=data(services=["cart", "shop@production"]))
    secret = make_secret(rotation=HOOK)

    with pytest.raises(InvalidError, match="shop@production/pin"):
        save_connection(actor=system, data=data(services=["cart"]), connection=made)
    save_connection(actor=system, data=data(services=["shop"]), connection=made)
    services.update_secret(actor=system, secret=secret, changes={"rotation": None})
    kept = save_connection(actor=system, data=data(services=["cart"]), connection=made)

    assert kept.services == ["cart"]


def test_changed__so_that_a_rotation_could_not_run__is_refused_and_names_it(
    data, system, make_secret
):
    made = save_connection(actor=system, data=data(**postgres(), services=["shop"]))
    rotation = {"rotator": "postgres", "connection": "hook", "roles": ["app_a", "app_b"]}
    make_secret(rotation=rotation)

    for members in ({}, postgres(roles=["app_a", "app_c"])):
        with pytest.raises(InvalidError, match="shop@production/pin"):
            save_connection(actor=system, data=data(**members, services=["shop"]), connection=made)
    wider = postgres(roles=["app_a", "app_b", "app_c"])
    kept = save_connection(actor=system, data=data(**wider, services=["shop"]), connection=made)

    assert kept.roles == ["app_a", "app_b", "app_c"]


def test_saved__with_a_secret_that_was_deleted_meanwhile__is_refused(data, credential, system):
    services.delete_secret(actor=system, secret=credential)

    with pytest.raises(DomainError):
        save_connection(actor=system, data=data())
    assert not connections.list_connections().exists()


def test_saved__after_it_was_deleted__is_refused(data, system):
    made = save_connection(actor=system, data=data())
    connections.delete_connection(actor=system, connection=made)

    with pytest.raises(NotFoundError):
        save_connection(actor=system, data=data(), connection=made)


def test_rotation__address_that_turned_private__is_not_called(
    data, system, make_secret, rotate, settings, value_of
):
    save_connection(actor=system, data=data())
    secret = make_secret(rotation=HOOK)
    settings.PRIVATE_TARGETS = []
    run = rotate(secret)

    assert run.state == "failed"
    assert "not a public one" in run.error
    assert value_of(secret) == "first value"
    assert schedules.is_running(secret) is False


def test_connection__by_which_a_value_is_still_to_end__stays_as_it_must(data, system, make_secret):
    from apps.core import clock
    from apps.core.models import Job
    from apps.engine.values import canonical, parse_canonical

    made = save_connection(actor=system, data=data(**postgres()))
    rotation = {"rotator": "postgres", "connection": "hook", "roles": ["app_a", "app_b"]}
    secret = make_secret(rotation=rotation)
    options = parse_canonical(secret.rotation.options)
    services.update_secret(actor=system, secret=secret, changes={"rotation": None})
    end = {"connection": str(made.pk), "rotator": "postgres", "options": options}
    job = Job.objects.create(
        kind=connections.DESTROY,
        subject="shop@production/pin",
        argument=canonical(end),
        due_at=clock.now(),
        created_at=clock.now(),
    )

    with pytest.raises(InvalidError, match="shop@production/pin"):
        save_connection(
            actor=system, data=data(**postgres(roles=["app_a", "app_c"])), connection=made
        )
    job.finished_at = clock.now()
    job.save()
    changed = save_connection(
        actor=system, data=data(**postgres(roles=["app_a", "app_c"])), connection=made
    )
    assert changed.roles == ["app_a", "app_c"]

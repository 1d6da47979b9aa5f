"""What was withdrawn after a backup stays so: then and now are compared, and the stricter is kept."""

from datetime import timedelta

import pytest

pytestmark = pytest.mark.django_db

PASSWORD = "a long phrase that holds"


@pytest.fixture
def world(shop, system):
    """Rights of each kind, as the backup has them."""
    from types import SimpleNamespace

    from allauth.mfa.models import Authenticator

    from apps.access import key_rules, own_roles, people, services
    from apps.access.policy import EVERYWHERE, Place

    w = SimpleNamespace(system=system, shop=shop, everywhere=EVERYWHERE, place=Place(shop))
    w.ada = people.create_superuser(actor=system, username="ada", password=PASSWORD)
    w.crew = people.create_group(actor=system, name="crew")
    people.set_groups(actor=system, user=w.ada, groups=[w.crew])
    w.robot = services.create_account(actor=system, slug="robot")
    w.token, _raw = services.create_token(actor=system, account=w.robot)
    own_roles.put_role(actor=system, name="shopkeeper", verbs=["list", "read", "edit"])
    w.grant = services.grant(actor=system, to="service-account:robot", role="viewer")
    services.grant(actor=system, to="group:crew", role="shopkeeper")
    w.rule = key_rules.create_key_rule(actor=system, pattern="a.b", place=EVERYWHERE)
    services.grant(actor=system, to="group:crew", role="viewer", on=w.rule)
    Authenticator.objects.create(user=w.ada, type="totp", data={"secret": "then"})
    return w


def restored(w, act):
    """Do something that is then lost, as the restored database does not have it; and keep what it
    withdrew. Returns the events.
    """
    from apps.audit.models import Head
    from apps.audit.services import append
    from apps.backups.keeping import keep_withdrawn
    from apps.backups.withdrawals import read_rights
    from apps.core.transactions import undone, writing

    with undone():
        act(w)
        present = read_rights(after=Head.objects.get().number)
    with writing():
        events = keep_withdrawn(present, w.system)
        if events:
            append(events, actor=w.system)
    return [(each.action, each.target) for each in events]


def test_nothing__withdrawn__changes_nothing(world):
    from apps.access import services

    def give(w):
        services.create_token(actor=w.system, account=w.robot)
        services.grant(actor=w.system, to="user:ada", role="viewer", on=w.place)

    assert restored(world, lambda w: None) == []
    assert restored(world, give) == []


def test_token__withdrawn_since__is_refused(world):
    from apps.access.services import withdraw_token

    events = restored(world, lambda w: withdraw_token(actor=w.system, token=w.token))

    world.token.refresh_from_db()
    assert world.token.withdrawn_at is not None
    assert events == [("token.withdrawn", "service-account:robot")]


def test_token__rotated_since__ends_when_the_rotation_said(world):
    from apps.access.rotation import rotate_token
    from apps.core import clock

    hour = timedelta(hours=1)
    events = restored(world, lambda w: rotate_token(actor=w.system, token=w.token, overlap=hour))

    world.token.refresh_from_db()
    assert world.token.expires_at <= clock.now() + hour
    assert events == [("token.rotated", "service-account:robot")]


def test_account__deleted_since__is_deleted_with_its_tokens(world):
    from apps.access.services import delete_account

    events = restored(world, lambda w: delete_account(actor=w.system, account=w.robot))

    world.robot.refresh_from_db()
    world.robot.user.refresh_from_db()
    assert world.robot.deleted_at is not None
    assert not world.robot.user.is_active
    assert [action for action, _target in events] == ["account.deleted", "token.withdrawn"]


def test_password__changed_since__does_not_let_in_with_the_old_one(world):
    from apps.access.people import set_password

    new = "another phrase that holds"
    events = restored(world, lambda w: set_password(actor=w.system, user=w.ada, password=new))

    world.ada.refresh_from_db()
    assert not world.ada.check_password(PASSWORD)
    assert world.ada.check_password(new)
    assert events == [("user.password", "user:ada")]


def test_person__less_since__is_less(world):
    from apps.access.people import update_person

    def act(w):
        update_person(actor=w.system, user=w.ada, is_active=False, is_superuser=False)

    events = restored(world, act)

    world.ada.refresh_from_db()
    assert (world.ada.is_active, world.ada.is_superuser) == (False, False)
    assert events == [("user.updated", "user:ada")]


def test_factor__replaced_since__opens_no_more(world):
    from allauth.mfa.models import Authenticator

    def act(w):
        Authenticator.objects.filter(user=w.ada).delete()
        Authenticator.objects.create(user=w.ada, type="totp", data={"secret": "now"})

    events = restored(world, act)

    assert [each.data for each in Authenticator.objects.all()] == [{"secret": "now"}]
    assert events == [("factor.removed", "user:ada"), ("factor.enrolled", "user:ada")]


def test_grant_and_membership__taken_since__are_gone_with_what_they_opened(world):
    from apps.access import people, policy, services
    from apps.access.selectors import find_actor_named

    def act(w):
        services.withdraw_grant(actor=w.system, grant=w.grant)
        people.set_groups(actor=w.system, user=w.ada, groups=[])

    robot = find_actor_named("service-account:robot")
    assert policy.allowed(robot, "read", world.place)
    events = restored(world, act)

    assert not policy.allowed(robot, "read", world.place)
    assert not world.ada.groups.exists()
    assert events == [("user.groups", "user:ada"), ("grant.withdrawn", "service-account:robot")]


def test_role__of_fewer_verbs_since__has_fewer(world):
    from apps.access import own_roles
    from apps.access.models import Role
    from apps.access.rights import rights_of
    from apps.access.selectors import find_actor_named

    def act(w):
        own_roles.put_role(actor=w.system, name="shopkeeper", verbs=["list", "publish"])

    events = restored(world, act)

    assert Role.objects.get().verbs == ["list"]
    held = {
        verb for verb, _service, _environment in rights_of(find_actor_named("user:ada")).triples
    }
    assert held == {"list"}
    assert events == [("role.updated", "role:shopkeeper")]


def test_key_rule__made_or_widened_since__guards_with_the_old_one(world):
    from apps.access import key_rules
    from apps.access.models import KeyRule

    def act(w):
        key_rules.update_key_rule(actor=w.system, rule=w.rule, pattern="a.**")
        key_rules.create_key_rule(actor=w.system, pattern="c", place=w.place)

    events = restored(world, act)

    rules = KeyRule.objects.order_by("pattern").values_list("pattern", "grants__group__name")
    assert sorted(rules) == [("a.**", "crew"), ("a.b", "crew"), ("c", None)]
    assert [action for action, _target in events] == [
        "key_rule.created",
        "grant.given",
        "key_rule.created",
    ]


def test_key_rule__of_a_service_that_came_since__is_left_out(world):
    from apps.access import key_rules
    from apps.access.policy import Place
    from apps.configs.services.places import create_service

    def act(w):
        later = create_service(actor=w.system, slug="later")
        key_rules.create_key_rule(actor=w.system, pattern="c", place=Place(later))

    assert restored(world, act) == []


def test_connection__closed_or_narrowed_since__is_so(world):
    import uuid

    from apps.core import clock
    from apps.core.models import Connection

    given = {"kind": "postgres", "address": "postgres://h/d", "credential": uuid.uuid4()}
    given |= {"created_at": clock.now(), "roles": ["a", "b"]}
    closed = Connection.objects.create(slug="closed", **given)
    narrowed = Connection.objects.create(slug="narrowed", **given)

    def act(w):
        Connection.objects.filter(pk=closed.pk).update(deleted_at=clock.now())
        Connection.objects.filter(pk=narrowed.pk).update(roles=["b", "c"])

    events = restored(world, act)

    closed.refresh_from_db()
    narrowed.refresh_from_db()
    assert closed.deleted_at is not None
    assert narrowed.roles == ["b"]
    assert events == [
        ("connection.deleted", "connection:closed"),
        ("connection.changed", "connection:narrowed"),
    ]


def test_identity_at_a_provider__gone_since__logs_nobody_in(world):
    from apps.access.identities import link
    from apps.access.models import ExternalIdentity

    link(actor=world.system, user=world.ada, issuer="https://id.example", subject="1")

    restored(world, lambda w: w.ada.identities.all().delete())

    assert not ExternalIdentity.objects.exists()


def test_present__that_does_not_go_on_from_the_backup__says_nothing_of_it(world):
    from apps.audit.models import AuditEvent
    from apps.backups.withdrawals import read_present

    last = AuditEvent.objects.latest("number")

    for revision, digest in ((last.number, "0" * 64), (last.number + 1, last.hash)):
        assert "does not go on" in read_present(revision, digest)


def test_present__written_to_since_it_was_read__is_not_replaced(world):
    from apps.access.people import create_group
    from apps.backups.withdrawals import read_rights, require_unmoved
    from apps.engine.errors import ConflictError

    present = read_rights(after=0)
    require_unmoved(present)
    assert any(each.startswith("user.updated user:ada") for each in present.later)

    create_group(actor=world.system, name="late")

    with pytest.raises(ConflictError):
        require_unmoved(present)

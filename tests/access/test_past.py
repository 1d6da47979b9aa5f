"""Who could do what on a day that is over, after everything has changed since."""

from datetime import UTC, date, datetime, timedelta

import pytest

pytestmark = pytest.mark.django_db

FIRST = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def on(monkeypatch):
    """Sets the clock to noon of a day in November 2026."""
    import django.utils.timezone

    def move(day):
        moment = FIRST.replace(day=day)
        monkeypatch.setattr(django.utils.timezone, "now", lambda: moment)

    return move


@pytest.fixture
def changed(on, system, db):
    """A month of changes: grants, groups, superusers, key rules, accounts."""
    from apps.access import key_rules, people, services
    from apps.access.policy import EVERYWHERE, Place
    from apps.configs.services.places import create_service
    from apps.registry.selectors import get_environment

    on(2)
    shop, other = (create_service(actor=system, slug=each) for each in ("shop", "other"))
    production = get_environment("production")
    here = Place(shop, production)
    crew = people.create_group(actor=system, name="crew")
    ada = people.create_person(actor=system, username="ada")
    bob = people.create_person(actor=system, username="bob")
    robot = services.create_account(actor=system, slug="robot", environment=production)
    services.grant(actor=system, to="group:crew", role="operator", on=Place(shop))
    services.grant(actor=system, to="user:bob", role="administrator", on=Place(other))
    services.grant(actor=system, to="service-account:robot", role="consumer", on=here)
    mine = services.grant(actor=system, to="user:bob", verb="read", on=here)
    until = FIRST + timedelta(days=3)
    services.grant(actor=system, to="user:bob", verb="rollback", on=here, expires_at=until)
    on(4)
    people.set_groups(actor=system, user=ada, groups=[crew])
    rule = key_rules.create_key_rule(actor=system, pattern="security.**", place=EVERYWHERE)
    services.grant(actor=system, to="user:bob", verb="read", on=rule)
    on(6)
    services.end_grants(actor=system)
    people.update_person(actor=system, user=bob, is_active=True, is_superuser=True)
    on(8)
    people.set_groups(actor=system, user=ada, groups=[])
    services.withdraw_grant(actor=system, grant=mine)
    key_rules.delete_key_rule(actor=system, rule=rule)
    services.delete_account(actor=system, account=robot)
    on(10)
    people.update_person(actor=system, user=bob, is_active=False, is_superuser=False)
    on(20)
    return here


def asked(system, place, day):
    from apps.access.past import rights_on

    found = rights_on(actor=system, place=place, day=date(2026, 11, day))
    held = {(each.who, each.what, each.on, each.through) for each in found.held}
    return held, [each.pattern for each in found.rules]


READ = ("user:bob", "read", "shop@production", "")
ROBOT = ("service-account:robot", "consumer", "shop@production", "")
CREW = ("user:ada", "operator", "shop in every environment", "group:crew")
SHORT = ("user:bob", "rollback", "shop@production", "")
ON_RULE = ("user:bob", "read", "keys security.**", "")
ROOT = ("user:bob", "superuser", "everything", "")


@pytest.mark.parametrize(
    ("day", "held", "rules"),
    [
        (1, set(), []),
        (3, {READ, ROBOT, SHORT}, []),
        (5, {READ, ROBOT, CREW, SHORT, ON_RULE}, ["security.**"]),
        (6, {READ, ROBOT, CREW, ON_RULE, ROOT}, ["security.**"]),
        (8, {READ, ROBOT, CREW, ON_RULE, ROOT}, ["security.**"]),
        (9, {ROOT}, []),
        (11, set(), []),
    ],
)
def test_rights_on__each_day_of_a_changed_history__says_what_held_then(
    changed, system, day, held, rules
):
    assert asked(system, changed, day) == (held, rules)


def test_rights_on__a_grant_that_ended__tells_from_when_to_when_and_by_whom(changed, system):
    from apps.access.past import rights_on

    found = rights_on(actor=system, place=changed, day=date(2026, 11, 3))
    (short,) = [each for each in found.held if each.what == "rollback"]

    assert (short.since.day, short.until.day, short.given_by) == (2, 5, "system:test")
    assert short.verbs == ("rollback",)


def test_rights_on__another_place__shows_what_was_on_it_alone(changed, system):
    from apps.access.policy import Place
    from apps.registry.selectors import get_service

    held, _rules = asked(system, Place(get_service("other")), 3)

    assert held == {("user:bob", "administrator", "other in every environment", "")}


def test_rights_on__everything__tells_of_parts_of_it_with_their_places(on, system, db):
    from apps.access import key_rules, people, services
    from apps.access.policy import EVERYWHERE, Place
    from apps.configs.services.places import create_service
    from apps.registry.selectors import get_environment

    on(2)
    shop, production = create_service(actor=system, slug="shop"), get_environment("production")
    people.create_person(actor=system, username="bob")
    services.grant(actor=system, to="user:bob", role="viewer", on=Place(shop, production))
    key_rules.create_key_rule(actor=system, pattern="pin", place=Place(shop))
    on(20)

    one = {("user:bob", "viewer", "shop@production", "")}
    assert asked(system, EVERYWHERE, 3) == (one, ["pin"])
    assert asked(system, Place(shop), 3) == (one, ["pin"])
    assert asked(system, Place(environment=production), 3) == (one, ["pin"])
    assert asked(system, Place(environment=get_environment("staging")), 3) == (set(), ["pin"])


def test_rights_on__superuser_from_before_the_ledger__is_known_by_what_ended_it(on, system, db):
    from apps.access import people
    from apps.access.policy import Place
    from apps.configs.services.places import create_service
    from apps.core.models import User

    on(2)
    shop = create_service(actor=system, slug="shop")
    person = User.objects.create_user("root", is_staff=True, is_superuser=True)
    on(5)
    people.update_person(actor=system, user=person, is_active=True, is_superuser=False)
    on(9)

    assert asked(system, Place(shop), 3)[0] == {("user:root", "superuser", "everything", "")}
    assert asked(system, Place(shop), 6)[0] == set()


def test_rights_on__a_day_to_come__is_refused(on, system, shop):
    from apps.access.policy import Place
    from apps.engine.errors import InvalidError

    on(5)

    with pytest.raises(InvalidError):
        asked(system, Place(shop), 6)


def test_rights_on__without_audit__is_refused(make_api, shop):
    from apps.access.past import rights_on
    from apps.access.policy import Place
    from apps.access.selectors import actor_of_user
    from apps.engine.errors import ForbiddenError

    viewer = make_api("viewer", service="shop")

    with pytest.raises(ForbiddenError):
        rights_on(actor=actor_of_user(viewer.account.user), place=Place(shop), day=FIRST.date())


def test_rights_on__rule_of_a_parent_environment__holds_below_it(on, system, db):
    from apps.access import key_rules
    from apps.access.policy import Place
    from apps.configs.services.places import create_environment
    from apps.registry.selectors import get_environment

    on(2)
    kid = create_environment(actor=system, slug="kid", parent="production")
    above = Place(environment=get_environment("production"))
    key_rules.create_key_rule(actor=system, pattern="security.**", place=above)
    on(20)

    assert asked(system, Place(environment=kid), 3)[1] == ["security.**"]
    assert asked(system, Place(environment=get_environment("staging")), 3)[1] == []


def test_rights_on__the_last_day_of_the_calendar__has_not_come(on, system, db):
    from apps.access.past import rights_on
    from apps.access.policy import EVERYWHERE
    from apps.engine.errors import InvalidError

    with pytest.raises(InvalidError):
        rights_on(actor=system, place=EVERYWHERE, day=date.max)


def test_rights_on__role_of_ones_own_that_changed_and_went__gives_what_it_gave_then(on, system, db):
    from apps.access import own_roles, people, services
    from apps.access.past import rights_on
    from apps.access.policy import EVERYWHERE

    on(2)
    people.create_person(actor=system, username="eve")
    role, _made = own_roles.put_role(actor=system, name="keeper", verbs=["list", "read"])
    given = services.grant(actor=system, to="user:eve", role="keeper")
    on(4)
    own_roles.put_role(actor=system, name="keeper", verbs=["list", "publish"])
    on(6)
    services.withdraw_grant(actor=system, grant=given)
    own_roles.delete_role(actor=system, role=role)
    on(20)

    def verbs(day):
        found = rights_on(actor=system, place=EVERYWHERE, day=date(2026, 11, day)).held
        return [each.verbs for each in found if each.who == "user:eve"]

    assert verbs(3) == [("list", "read")]
    assert sorted(verbs(4)) == [("list", "publish"), ("list", "read")]
    assert verbs(5) == [("list", "publish")]
    assert verbs(7) == []


def test_rights_on__rule_of_a_place_that_one_may_not_audit__is_not_told(on, system, make_api):
    from apps.access import key_rules, services
    from apps.access.policy import Place
    from apps.access.selectors import actor_of_user
    from apps.configs.services.places import create_environment
    from apps.registry.selectors import get_environment

    on(2)
    kid = create_environment(actor=system, slug="kid", parent="production")
    above = Place(environment=get_environment("production"))
    rule = key_rules.create_key_rule(actor=system, pattern="hush.**", place=above)
    auditor = make_api("auditor", environment="kid")
    services.grant(
        actor=system, to=f"service-account:{auditor.account.slug}", role="viewer", on=rule
    )
    on(20)

    held, rules = asked(actor_of_user(auditor.account.user), Place(environment=kid), 3)

    assert rules == []
    assert not any("hush" in on for _who, _what, on, _through in held)
    assert asked(system, Place(environment=kid), 3)[1] == ["hush.**"]

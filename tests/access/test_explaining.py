"""What is said of who may do what, and why, is what is decided."""

import random
from datetime import timedelta

import pytest

pytestmark = pytest.mark.django_db

SEEDS = 2
GRANTS = 40
KEYS = ((), ("free",), ("ruled", "pin"), ("twice", "x"), ("$secret", "pin"))


@pytest.fixture
def installation(system, shop):
    """People, groups, an account, two services, an environment that inherits, rules, own roles."""
    from django.contrib.auth.models import Group

    from apps.access import key_rules, own_roles, services
    from apps.access.policy import EVERYWHERE, Place
    from apps.configs.services.places import create_service, update_environment
    from apps.core.models import User
    from apps.registry.selectors import get_environment

    cart = create_service(actor=system, slug="cart")
    staging, production = get_environment("staging"), get_environment("production")
    update_environment(actor=system, environment=production, parent="staging")
    production.refresh_from_db()
    groups = [Group.objects.create(name=name) for name in ("web", "ops")]
    people = []
    for number in range(6):
        person = User.objects.create_user(f"p{number}", is_active=number != 5)
        person.groups.set(groups[: number % 3])
        people.append(person)
    services.create_account(actor=system, slug="app")
    rules = [
        key_rules.create_key_rule(actor=system, pattern=pattern, place=place)
        for pattern, place in (
            ("ruled.**", EVERYWHERE),
            ("twice", Place(shop)),
            ("*.x", Place(environment=staging)),
            ("$secret.*", Place(cart, production)),
        )
    ]
    own_roles.put_role(actor=system, name="half", verbs=["list", "publish", "manage"])
    places = [Place(s, e) for s in (shop, cart, None) for e in (staging, production, None)]
    names = [f"user:p{n}" for n in range(6)] + ["group:web", "group:ops", "service-account:app"]
    return people, places, rules, names


def scatter(chance, installation, system):
    from apps.access import services
    from apps.access.models import Grant
    from apps.access.roles import VERBS
    from apps.core import clock

    _people, places, rules, names = installation
    for _ in range(GRANTS):
        on = chance.choice(places + rules)
        role = chance.choice(["viewer", "operator", "security-officer", "half", ""])
        verb = "" if role else chance.choice(VERBS)
        services.grant(actor=system, to=chance.choice(names), role=role, verb=verb, on=on)
    soon = clock.now() + timedelta(hours=1)
    for row in Grant.objects.order_by("?")[: GRANTS // 4]:
        Grant.objects.filter(pk=row.pk).update(expires_at=soon)
    for row in Grant.objects.filter(expires_at=None)[: GRANTS // 8]:
        Grant.objects.filter(pk=row.pk).update(expires_at=clock.now())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_who_may__random_grants__says_what_the_policy_decides(installation, system, seed):
    from apps.access import explaining, policy, rights
    from apps.access.roles import VERBS
    from apps.access.selectors import person

    people, places, _rules, _names = installation
    scatter(random.Random(seed), installation, system)
    rights.forget()
    wrong, held = [], 0
    for place in places:
        for key in KEYS if place.service and place.environment else KEYS[:1]:
            said = {each.name: set(each.verbs) for each in explaining.who_may(place, key or None)}
            for one in people[:5]:
                actor = person(one)
                decided = {
                    verb
                    for verb in VERBS
                    if (
                        policy.allowed(actor, verb, place, [key])
                        if key
                        else policy.allowed_free(actor, verb, place)
                    )
                }
                held += len(decided)
                if said.get(f"user:{one.username}", set()) != decided:
                    wrong.append((str(place), key, one.username, said.get(one.username), decided))
            assert f"user:{people[5].username}" not in said

    assert wrong == []
    assert held > GRANTS


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_may__random_grants__is_the_same_told_by_place(installation, system, seed):
    from apps.access import explaining
    from apps.access.models import KeyRule
    from apps.access.policy import Place

    people, places, _rules, _names = installation
    scatter(random.Random(seed), installation, system)
    told = {place: {each.name: each for each in explaining.who_may(place)} for place in places}
    seen = 0

    for one in people[:5]:
        answers = [each for each in explaining.what_may(one) if not isinstance(each.on, KeyRule)]
        by_place = {each.on: {reason.grant.pk for reason in each.reasons} for each in answers}
        for place in places:
            here = told[place].get(f"user:{one.username}")
            grants = [each.grant for each in here.reasons] if here else []
            exactly = {g.pk for g in grants if Place(g.service, g.environment) == place}
            assert by_place.get(place, set()) == exactly
            seen += len(exactly)

    assert seen > GRANTS // 4


def test_who_may__verb_by_two_grants__ends_with_the_last_of_them(shop, system):
    from apps.access import explaining, services
    from apps.access.policy import Place
    from apps.core import clock
    from apps.core.models import User

    User.objects.create_user("ada")
    first, last = (clock.now() + timedelta(days=each) for each in (1, 2))
    for role, end in (("viewer", last), ("operator", first)):
        services.grant(actor=system, to="user:ada", role=role, on=Place(shop), expires_at=end)

    (ada,) = (each for each in explaining.who_may(Place(shop)) if each.name == "user:ada")

    assert (ada.verbs["read"], ada.verbs["publish"]) == (last, first)
    services.grant(actor=system, to="user:ada", verb="read")
    (ada,) = (each for each in explaining.who_may(Place(shop)) if each.name == "user:ada")
    assert (ada.verbs["read"], ada.verbs["publish"]) == (None, first)

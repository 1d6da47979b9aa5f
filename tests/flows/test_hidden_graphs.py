"""Configurations that are made of each other: whoever may not read some keys learns nothing of them,
by whatever he reads, tries, publishes, merges, promotes or rolls back.

Two installations that differ in the values of hidden keys alone take the same random acts, and give
the same answers.
"""

import json
import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.django_db

SERVICES = ("a", "b", "c")
PLACES = [(name, where) for name in SERVICES for where in ("production", "staging")]
HIDING = [
    [("**.pin", "locked.**", "list[0].key")],
    [("s.*", "deep.taken", "**.pin"), ("locked",), ("list",)],
    [("*.pin", "deep.taken"), ("locked.*",), ("list[*].key",)],
]
"""Patterns that cover what differs, in several ways; where they hold is drawn."""
OPEN_RULES = ("n", "s.size", "deep.ref", "t.*", "s.new", "locked.of")
"""Patterns of keys that do not differ: who has what on them is drawn."""
ACTORS = {
    "operator": [("operator", None, None)],
    "partial": [("operator", "a", None), ("viewer", "b", None), ("viewer", None, "staging")],
    "narrow": [
        ("developer", None, "staging"),
        ("operator", "c", "production"),
        ("viewer", "a", None),
    ],
}
RULES = [
    ("small", "config.n < 900", "error"),
    ("pinned", "config.n <= size(config.locked.x) * 1000", "error"),
    ("told", "config.locked.x == 'x'", "warning"),
    ("turn", "config.n >= previous.n - 50", "warning"),
]
SCHEMA = {
    "properties": {
        "size": {"maximum": 60},
        "url": {"x-environment-specific": True},
        "items": {"x-merge-key": "name"},
    }
}
PEEKING = {"one": "${a:n}", "two": "${param:of:-0}"}
"""A template that nothing extends: what it would be somewhere is asked."""
TEMPLATE = {"t": {"pool": "${param:pool}", "twice": "${self:t.pool}${self:t.pool}"}}
TARGETS = (
    "n",
    "s.size",
    "s.pin",
    "locked.x",
    "locked",
    "s",
    "t.pool",
    "list",
    "missing",
    "deep.ref",
)


class World:
    """One installation. ``hidden`` gives the value of a hidden key at its next turn."""

    def __init__(self, system, side, chance):
        from apps.access.policy import EVERYWHERE, Place
        from apps.configs.services import rules, templates
        from apps.configs.services.places import create_service, update_environment
        from apps.configs.services.sections import create_section
        from apps.registry.selectors import get_environment, get_service

        self.system, self.side, self.turn = system, side, 0
        staging = get_environment("staging")
        update_environment(actor=system, environment=staging, parent="production", protected=True)
        for name in SERVICES:
            made = create_service(actor=system, slug=name)
            create_section(actor=system, service=made, key="s", schema=SCHEMA)
        parameters = {"properties": {"pool": {"type": "integer", "default": 3}}}
        templates.create_template(
            actor=system, slug="base", body=templates.Body(TEMPLATE, parameters)
        )
        templates.create_template(
            actor=system, slug="peek", body=templates.Body(PEEKING, {"properties": {"of": {}}})
        )
        for number, (name, where) in enumerate(PLACES):
            self.publish(name, where, number)
        self.apis = self._actors(self._key_rules(chance), chance)
        for name, expression, severity in RULES:
            place = Place(get_service("c")) if name == "pinned" else EVERYWHERE
            rules.create_rule(
                actor=system,
                name=name,
                place=place,
                expression=expression,
                severity=severity,
                acknowledge=True,
            )

    def _key_rules(self, chance):
        """The rules on keys that differ, everywhere or of each service; and some on keys that do not."""
        from apps.access.key_rules import create_key_rule
        from apps.access.policy import EVERYWHERE, Place
        from apps.registry.selectors import get_environment, get_service

        hiding, free = [], []
        services = [Place(get_service(name)) for name in SERVICES]
        environments = [
            Place(environment=get_environment(each)) for each in ("staging", "production")
        ]
        for patterns in chance.choice(HIDING):
            for pattern in patterns:
                for place in chance.choice([[EVERYWHERE], services, environments]):
                    made = create_key_rule(actor=self.system, pattern=pattern, place=place)
                    hiding.append(made)
        for pattern in chance.sample(OPEN_RULES, chance.randrange(3)):
            place = chance.choice([EVERYWHERE, *services, *environments])
            free.append(create_key_rule(actor=self.system, pattern=pattern, place=place))
        return hiding, free

    def _actors(self, key_rules, chance):
        """A client for each actor, with grants of his own on some rules: nobody reads what differs."""
        from apps.access import services
        from apps.access.policy import Place
        from apps.registry.selectors import get_environment, get_service
        from tests.conftest import Api

        hiding, free = key_rules
        found = {}
        for name, grants in ACTORS.items():
            account = services.create_account(actor=self.system, slug=name)
            to = f"service-account:{name}"
            for role, service, environment in grants:
                place = Place(
                    get_service(service) if service else None,
                    get_environment(environment) if environment else None,
                )
                services.grant(actor=self.system, to=to, role=role, on=place)
            given = [(rule, chance.choice(["list", "publish", "rollback"])) for rule in hiding]
            given += [(rule, chance.choice(["list", "read", "publish"])) for rule in free]
            for rule, verb in given:
                if chance.random() < 0.4:
                    services.grant(actor=self.system, to=to, verb=verb, on=rule)
            _token, raw = services.create_token(actor=self.system, account=account)
            found[name] = Api(raw)
        return found

    def hidden(self):
        """Another one each time, and of another length in the other world."""
        self.turn += 1
        return f"{self.turn}" + "-hidden" * (1 + 3 * self.side)

    def publish(self, name, where, number):
        """By somebody who may everything: hidden keys change, and some others."""
        from apps.access.policy import Place
        from apps.configs import sources
        from apps.configs.services import publishing
        from apps.configs.services.bases import Options
        from apps.registry.selectors import get_environment, get_service

        other = SERVICES[(SERVICES.index(name) + 1) % len(SERVICES)]
        document = {
            "n": number,
            "s": {"size": number % 50, "pin": self.hidden(), "url": f"at-{where}"},
            "locked": {"x": self.hidden(), "of": f"${{{other}:s.size:-0}}"},
            "list": [{"key": self.hidden()}, {"free": 1}],
            "deep": {"ref": f"${{{other}:n:-1}}", "taken": f"${{{other}:s.pin:-none}}"},
        }
        place = Place(get_service(name), get_environment(where))
        publishing.publish(
            actor=self.system,
            place=place,
            source=sources.from_tree(
                document, [{"template": "base", "with": {"pool": number % 7}}]
            ),
            options=Options(on_stale="overwrite", dependents="leave"),
        )


def reads(chance, name, where):
    at = f"environment={where}"
    version = chance.randrange(1, 6)
    key = chance.choice(["s", "**.pin", "locked.*", "n", "deep.**", "list"])
    path = chance.choice(
        [
            f"/config/{name}?{at}",
            f"/config/{name}?{at}&view=source",
            f"/config/{name}?{at}&version={version}",
            f"/config/{name}.yaml?{at}&key={key}",
            f"/config/{name}/value?{at}&key={key.replace('*', 'x')}",
            f"/config/{name}/history?{at}&key={key}",
            f"/config/{name}/versions/{version}?{at}",
            f"/config/{name}/diff?{at}&from={version}&to=live&format={chance.choice(['changes', 'patch', 'unified'])}",
            f"/config/{name}/diff?{at}&from=staging&to=production",
            f"/config/{name}/explain?{at}",
            f"/config/{name}/dependencies?{at}",
            f"/config/{name}/dependents?{at}",
            f"/config/{name}/graph?{at}&steps=2",
            f"/config/{name}/across?key={key}",
            "/matrix",
            "/templates/base/users",
            "/rules",
        ]
    )
    kind = chance.random()
    if kind < 0.05:
        return "POST", "/templates/base/render", {"with": {"pool": chance.randrange(9)}}
    if kind < 0.1:
        given = {"with": {"of": value(chance)}, "service": name, "environment": where}
        return "POST", "/templates/peek/render", given
    return "GET", path, None


def value(chance):
    kind = chance.random()
    if kind < 0.5:
        return chance.randrange(1_000 if kind < 0.05 else 70)
    at = chance.choice(["", "@production", "@staging"])
    return (
        f"${{{chance.choice(SERVICES)}{at}:{chance.choice(TARGETS)}{chance.choice(['', ':-5'])}}}"
    )


def document(chance):
    written = {"n": value(chance), "s": {"size": value(chance), "new": chance.randrange(9)}}
    if chance.random() < 0.3:
        written["s"]["items"] = [{"name": each, "v": value(chance)} for each in "xy"]
    if chance.random() < 0.15:
        written[chance.choice(["locked", "list", "pin"])] = chance.choice([{}, [], "x", {"x": 1}])
    return written


def writes(chance, name, where):
    common = {"environment": where, "dry_run": chance.random() < 0.4}
    stale = chance.choice(
        [
            {"on_stale": "overwrite"},
            {"base_version": chance.randrange(1, 6), "on_stale": "merge"},
            {"base_version": chance.randrange(1, 6)},
        ]
    )
    follow = {"dependents": chance.choice(["leave", "refuse"])}
    kind = chance.random()
    if kind < 0.35:
        return "POST", f"/config/{name}", {**common, **stale, **follow, "config": document(chance)}
    if kind < 0.5:
        flag = "&dry_run=true" if common["dry_run"] else ""
        query = f"environment={where}{flag}&dependents={follow['dependents']}"
        return "PATCH", f"/config/{name}?{query}", {"n": value(chance), "s": {"extra": 1}}
    if kind < 0.6:
        extra = chance.choice([{}, {"keys": [chance.choice(["n", "s", "locked", "**"])]}])
        body = {**common, **extra, "to_version": chance.randrange(1, 6)}
        return "POST", f"/config/{name}/rollback", body
    if kind < 0.75:
        extra = chance.choice([{}, {"keys": [chance.choice(["s.**", "n", "**.pin", "t"])]}])
        merging = chance.choice([{}, {"on_stale": "merge"}])
        origin = "staging" if where == "production" else "production"
        body = {**common, **extra, **merging, **follow, "from": origin}
        return "POST", f"/config/{name}/promote", body
    if kind < 0.85:
        return "POST", f"/config/{name}/refresh", common
    body = {"service": name, "environment": where, "config": document(chance)}
    return "POST", "/validate", body


def answers(system, monkeypatch, side, count, seed):
    """What restricted actors are told, with random names and times as in the other world."""
    from django.db import transaction

    from apps.access import selectors
    from apps.audit import refusals
    from apps.core import clock

    ids, chance = random.Random(7), random.Random(seed)
    started = datetime(2026, 1, 1, tzinfo=UTC)
    ticks = iter(range(10**9))
    told = []
    with monkeypatch.context() as patch, transaction.atomic():
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=ids.getrandbits(128), version=4))
        patch.setattr(clock, "now", lambda: started + timedelta(milliseconds=next(ticks)))
        selectors.forget()
        refusals.forget()
        world = World(system, side, chance)
        for number in range(count):
            name, where = chance.choice(PLACES)
            kind = chance.random()
            if kind < 0.08:
                world.publish(name, where, number % 90)
                continue
            make = reads if kind < 0.45 else writes
            method, path, body = make(chance, name, where)
            media = "application/merge-patch+json" if method == "PATCH" else "application/json"
            who = chance.choice(sorted(world.apis))
            answer = world.apis[who](method, path, body, media)
            headers = sorted((each.lower(), text) for each, text in answer.items())
            told.append((method, path, body, answer.status_code, headers, answer.content, who))
        transaction.set_rollback(True)
    selectors.forget()
    return told


def test_hidden_graphs__differ__and_every_answer_is_the_same(system, monkeypatch):
    """Over several key rules, grants and random acts, each from a seed of its own."""
    seeds, count = (range(12), 700) if pytest.long_form else ((2, 6, 9), 60)
    told = []
    for seed in seeds:
        one, other = (answers(system, monkeypatch, side, count, seed) for side in (0, 1))
        for mine, theirs in zip(one, other, strict=True):
            assert mine == theirs, seed
        told += one + other

    statuses = {row[3] for row in told}
    assert {200, 201, 403, 404, 409, 422} <= statuses
    assert max(statuses) < 500
    for kind in ("promote", "rollback"):
        assert any(row[1].endswith(kind) and row[3] == 201 for row in told), kind
    peeked = {row[3] for row in told if "/peek/render" in row[1]}
    assert peeked > {404}, peeked
    for path in ("/matrix", "/render", "/across"):
        assert any(path in row[1] and row[3] == 200 for row in told), path
    assert b"hidden-hidden" not in b"".join(row[5] for row in told)
    assert any(b"rule_hidden" in row[5] for row in told)


def test_hidden_graphs__of_somebody_who_may_see_them__are_told_apart(system, monkeypatch):
    """The comparison can fail: without key rules the two installations differ."""
    from apps.access import policy
    from apps.engine.guarding import OPEN

    monkeypatch.setattr(policy, "guard", lambda *_arguments: OPEN)

    one, other = (answers(system, monkeypatch, side, 40, 1) for side in (0, 1))

    assert json.dumps([row[3] for row in one])
    assert one != other

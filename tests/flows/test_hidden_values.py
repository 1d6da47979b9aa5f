"""Two installations that differ in hidden values alone answer a restricted actor alike."""

import json
import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.django_db

HERE = "environment=production"
HIDDEN = [
    ("one", 5, ["a"], {"key": "k", "deep": {"x": 1}}),
    ("another, much longer one", -7.25, [], {"other": [1, 2, {"y": None}]}),
]
PATTERNS = ("**.password", "security.**", "hosts[0]", "flags.hidden", "$secret.vault-*")
FLAGS = "/services/shop/ofrep/v1/evaluate/flags"
GRAPH = """query($key: String!, $from: String!, $number: Int!, $keys: [String!]) {
  configuration(service: "shop", environment: "production") {
    live { config checksum keys lock source { content } file(format: "yaml") value(key: $key) }
    version(number: $number) { config keys checksum } unread readers(key: $key) { account count }
    history(key: $key) { edges { node { version keys checksum } } } diff(from: $from) { patch unified }
    explain(keys: $keys) { key hides { name } layers { name } } dependencies { references { key } }
    dependents { hidden } secrets { edges { node { name } } } }
  across(service: "shop") { results { key values { value } } } secrets { edges { node { name } } } }"""
TOLD = [
    *(f"/config/shop/{what}?{HERE}" for what in ("explain", "dependencies", "dependents", "graph")),
    f"/config/shop/unread?{HERE}",
    "/config/shop/across",
    "/matrix",
    f"/secrets?{HERE}",
    f"/secrets/shop/vault-db?{HERE}",
]
KEYED = [f"/config/shop/{what}?{HERE}" for what in ("explain", "readers")]


def document(number, hidden):
    text, figure, items, tree = hidden
    return {
        "settings": {"timeout": number, "db": {"user": "app", "password": text}},
        "password": figure,
        "security": tree,
        "hosts": [{"name": "a", "password": text}, {"name": "b"}],
        "list": {"password": items},
        "flags": {"open": True, "hidden": {"enabled": True, "variants": {"one": text}}},
        "url": "x${secret:vault-db}",
        "n": number,
    }


def build(system, make_api, hidden):
    """The installation with these hidden values, and a client that may not see them."""
    from apps.access import key_rules, services
    from apps.access.models import Token
    from apps.access.policy import EVERYWHERE
    from apps.configs.services.places import create_service
    from apps.configs.services.sections import create_section
    from apps.vault.services import create_secret
    from tests.conftest import Api

    shop = create_service(actor=system, slug="shop")
    schema = {"properties": {"timeout": {"maximum": 50}}}
    create_section(
        actor=system, service=shop, key="settings", type="application_settings", schema=schema
    )
    create_section(actor=system, service=shop, key="flags", type="feature_flags")
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment

    place = Place(shop, get_environment("production"))
    create_secret(actor=system, place=place, slug="vault-db", value=str(hidden[0]) * 3)
    account = services.create_account(actor=system, slug="restricted")
    services.grant(actor=system, to="service-account:restricted", role="operator", on=EVERYWHERE)
    services.grant(actor=system, to="service-account:restricted", verb="audit", on=place)
    token, raw = services.create_token(actor=system, account=account)
    Token.objects.filter(pk=token.pk).update(id=uuid.UUID(int=1))  # tickets name it
    for number in range(1, 5):
        publish(system, place, document(number, hidden), yaml=number % 2)
    for pattern in PATTERNS:
        key_rules.create_key_rule(actor=system, pattern=pattern, place=EVERYWHERE)
    return Api(raw)


def publish(system, place, tree, yaml):
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options
    from apps.engine import formats

    source = sources.from_tree(tree)
    if yaml:
        text = f"# it is {tree['settings']['db']['password']}\n" + formats.render(tree, "yaml")
        source = sources.from_text(text, "yaml")
    options = Options(on_stale="overwrite", message=f"version {tree['n']}")
    publishing.publish(actor=system, place=place, source=source, options=options)


def requests(count):
    """Varied reads and dry runs, the same ones each time."""
    chance = random.Random(20)
    keys = ["settings", "settings.timeout", "**.password", "security.*", "hosts", "list", "url"]
    keys += ["hosts[0].name", "settings.db.password", "nothing", "*", "password", "flags"]
    suffixes = ["", "", ".yaml", ".json", ".toml", ".xml", ".env", ".properties"]
    for _ in range(count):
        kind = chance.randrange(13)
        key, version = chance.choice(keys), chance.randrange(1, 6)
        if kind == 0:
            extra = chance.choice(["", f"&key={key}", f"&version={version}", "&view=source"])
            yield "GET", f"/config/shop{chance.choice(suffixes)}?{HERE}{extra}", None
        elif kind == 1:
            yield "GET", f"/config/shop/value?{HERE}&key={key}&version={version}", None
        elif kind == 2:
            yield "GET", f"/config/shop/versions/{version}?{HERE}", None
        elif kind == 3:
            form = chance.choice(["changes", "patch", "unified"])
            query = f"from={version}&to={chance.randrange(1, 6)}&format={form}"
            yield "GET", f"/config/shop/diff?{HERE}&{query}", None
        elif kind == 4:
            yield "GET", f"/config/shop/history?{HERE}&key={key}", None
        elif kind == 5:
            yield "POST", f"/config/shop?{HERE}", write(chance, version)
        elif kind == 6:
            change = {chance.choice(["n", "settings", "security", "password", "list"]): version}
            yield "PATCH", f"/config/shop?{HERE}&dry_run=true", change
        elif kind == 7:
            body = {"to_version": version, "dry_run": True}
            body |= chance.choice([{}, {"keys": [key]}])
            yield "POST", f"/config/shop/rollback?{HERE}", body
        elif kind >= 9:
            yield of_other_interfaces(chance, kind, key, version)
        else:
            body = write(chance, version)
            body = {"config": body["config"], "service": "shop", "environment": "production"}
            yield "POST", "/validate", body


def of_other_interfaces(chance, kind, key, version):
    if kind == 9:
        return "GET", chance.choice([*TOLD, *(f"{each}&key={key}" for each in KEYED)]), None
    if kind == 10:
        asked = {"key": key, "keys": [key], "from": str(version), "number": version}
        return "POST", "/graphql", {"query": GRAPH, "variables": asked}
    if kind == 11:
        flag = chance.choice(["", "/open", "/hidden", "/nothing"])
        return "POST", f"{FLAGS}{flag}?{HERE}", {"context": {"targetingKey": f"u{version}"}}
    body = {"environment": "staging", "from": f"production@{version}", "dry_run": True}
    return "POST", "/config/shop/promote", body | chance.choice([{}, {"keys": [key]}])


def write(chance, version):
    config = {"n": chance.randrange(5), "settings": {"timeout": chance.randrange(100)}}
    if chance.randrange(3) == 0:
        config[chance.choice(["hosts", "password", "security"])] = chance.choice([1, {}, [], "x"])
    stale = chance.choice([{"base_version": version}, {"on_stale": "overwrite"}])
    return {"config": config, "dry_run": True} | stale


def answers(system, make_api, monkeypatch, hidden, count):
    """What the restricted actor is told, with random names and times as in the other run."""
    from django.db import transaction

    from apps.access import selectors
    from apps.audit import refusals
    from apps.core import clock
    from apps.delivery import reads

    ids = random.Random(7)
    started = datetime(2026, 1, 1, tzinfo=UTC)
    ticks = iter(range(10**9))
    with monkeypatch.context() as patch, transaction.atomic():
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=ids.getrandbits(128), version=4))
        patch.setattr(clock, "now", lambda: started + timedelta(milliseconds=next(ticks)))
        selectors.forget()
        refusals.forget()
        reads._waiting.clear()
        api = build(system, make_api, hidden)
        told = []
        for method, path, body in requests(count):
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            answer = api(method, path, body, kind)
            told.append((method, path, body, answer.status_code, headers(answer), answer.content))
        transaction.set_rollback(True)
    selectors.forget()
    return told


def headers(answer):
    return sorted((name.lower(), value) for name, value in answer.items())


def test_hidden_values__differ__and_every_answer_is_the_same(system, make_api, monkeypatch):
    count = 2_000 if pytest.long_form else 250

    one, other = (answers(system, make_api, monkeypatch, hidden, count) for hidden in HIDDEN)

    assert [row[:4] for row in one] == [row[:4] for row in other]
    for mine, theirs in zip(one, other, strict=True):
        assert mine == theirs
    statuses = {row[3] for row in one}
    assert {200, 403, 404, 409} <= statuses
    assert not any(status >= 500 for status in statuses)
    graphs = [row[5] for row in one if row[1] == "/graphql"]
    assert all(b'"configuration":{"live":{"config":' in each for each in graphs)
    told = b"".join(row[5] for row in one)
    assert b"timeout" in told
    for leak in (b"much longer", b"deep", b'other"'):
        assert leak not in told + b"".join(row[5] for row in other)


def test_hidden_values__of_somebody_who_may_see_them__are_told_apart(system, make_api, monkeypatch):
    """The comparison can fail: with a grant on the rules the two installations differ."""
    from apps.access import policy
    from apps.engine.guarding import OPEN

    monkeypatch.setattr(policy, "guard", lambda *_arguments: OPEN)

    one, other = (answers(system, make_api, monkeypatch, hidden, 60) for hidden in HIDDEN)

    assert json.dumps([row[3] for row in one])
    assert one != other

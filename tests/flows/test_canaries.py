"""No secret is in the database, caches, logs, pages, frames or errors; and leaks are found."""

import json
import time

import pytest

from tests import canaries
from tests.flows.canary_places import (
    PLACE,
    WHERE,
    Browser,
    Listeners,
    Recorder,
    archives,
    commands,
    database,
    fetch,
    files,
    log_segment,
    plant_in_redis,
    redis,
)
from tests.serving import installation

pytestmark = pytest.mark.servers

UNPLANTED = {"events", "sealed"}
"""The stream of flags says that they changed, and nothing of them; archives are sealed."""


def names_of(values):
    return [f"canary-{number}" for number in range(len(values))]


def begin(made, heard):
    """A server that logs all it can, with a service and its flags."""
    made.environment["CONFIGSVC_LOG_LEVEL"] = "DEBUG"
    made.environment["CONFIGSVC_AUDIT_FILE"] = str(made.folder / "ledger.sink")
    server = made.start()
    client = server.client(made.raw)
    api = Recorder(client, "rest", heard)
    assert api("POST", "/services", json={"slug": "shop"}).status_code == 201
    section = {"key": "flags", "type": "feature_flags"}
    assert api("POST", "/services/shop/sections", json=section).status_code == 201
    return server, api


def use_rest(api, values):
    """Create, name, publish, write and reveal the canaries, and get a lot of it wrong."""
    fresh = canaries.make(len(values))
    for name, value in zip(names_of(values), values, strict=True):
        made = {"service": "shop", "environment": "production", "name": name, "value": value}
        assert api("POST", "/secrets", json=made).status_code == 201
        assert api("POST", "/secrets", json=made).status_code == 422
        assert api("POST", "/secrets", json=made | {"name": f"-{value}"}).status_code == 422
        assert api("POST", "/secrets", json=made | {"value": {"x": [value]}}).status_code == 422
        assert api("POST", "/secrets", json=made | {"what": value}).status_code == 400
        assert api("POST", "/secrets", content=f"{{{value!r}").status_code == 400
    document = {name: {"$secret": name} for name in names_of(values)}
    document["text"] = "".join(f"x${{secret:{name}}}" for name in names_of(values))
    document["flags"] = {"shown": True}
    body = {"environment": "production", "config": document}
    assert api("POST", "/config/shop", json=body).status_code == 201
    for name, value in zip(names_of(values), fresh, strict=True):
        address = f"/secrets/shop/{name}"
        assert api("POST", f"{address}/versions?{WHERE}", json={"value": value}).status_code == 201
        revealed = api("POST", f"{address}/reveal?{WHERE}", keep=False, json={})
        assert revealed.json()["value"] == value
        assert revealed.headers["cache-control"] == "no-store"
        api("GET", f"{address}?{WHERE}")
        api("GET", f"{address}/versions?{WHERE}")
    shown = api("GET", f"/config/shop?{WHERE}&reveal=true", keep=False)
    assert shown.json()["config"][names_of(values)[0]] == fresh[0]
    api("POST", "/validate", json=body | {"service": "shop"})
    api("DELETE", f"/secrets/shop/canary-0?{WHERE}")
    return fresh


def use_rotation(api, rotator):
    """Rotate a secret that a configuration names; gives the value before and the one after."""
    (before,) = canaries.make(1)
    name, address = f"turning-{rotator}", f"/secrets/shop/turning-{rotator}"
    made = {"service": "shop", "environment": "production", "name": name, "value": before}
    assert (
        api("POST", "/secrets", json=made | {"rotation": {"rotator": rotator}}).status_code == 201
    )
    body = {"environment": "production", "config": {"own": {"$secret": name}}}
    answer = api("POST", "/config/shop", json=body | {"on_stale": "overwrite"})
    assert answer.status_code == 201, answer.text
    assert api("POST", f"{address}/rotate?{WHERE}", json={}).status_code == 202
    ends = time.monotonic() + 60
    while True:
        revealed = api("POST", f"{address}/reveal?{WHERE}", keep=False, json={}).json()
        if revealed["version"] == 2 or time.monotonic() > ends:
            break
        time.sleep(0.2)
    after = revealed["value"]
    assert after != before
    return [before, *(after.values() if isinstance(after, dict) else [after])]


def use_pages(browser):
    """Make, refuse, write and reveal secrets in the portal, one out of what is in plain text."""
    first, second, third, plain = canaries.make(4)
    one = f"{PLACE}secrets/typed/"
    form = {"name": "typed", "description": "of a page", "value": first}
    assert browser.post(f"{PLACE}secrets/", **form).status_code == 200
    assert browser.post(f"{PLACE}secrets/", **form).status_code == 422
    browser.post(one, act="write", value=f"{{{second}", is_object="1")
    browser.post(one, act="write", value=third)
    revealed = browser.post(f"{one}reveal/", keep=False, version="2")
    assert revealed.json()["text"] == third
    assert "no-store" in revealed.headers["cache-control"]
    text = {"content": json.dumps({"db": plain}), "format": "json", "pointer": "/db"}
    assert browser.post(f"{PLACE}make-secret/", **text, name="made").status_code == 201
    browser.page("GET", one)
    browser.page("GET", f"{one}rotation/")
    return [first, second, third, plain]


@pytest.mark.servers(database=pytest.long_form)
def test_secrets__through_all_the_product__are_found_nowhere():
    values = canaries.make(200 if pytest.long_form else 12)
    heard = []
    with installation() as made:
        since = log_segment(made)
        server, api = begin(made, heard)
        with Listeners(server, made.raw, heard):
            values += use_rest(api, values)
            for rotator in ("password", "key", "ed25519"):
                values += use_rotation(api, rotator)
            browser = Browser(made, heard)
            values += use_pages(browser)
            fetch(api, heard)
            browser.look()
            heard += commands(made)
        heard += [*archives(made), *files(made), *database(made, since), *redis(made)]

        assert canaries.search(heard, values) == []
        assert kinds_of(heard) >= {"rest", "export", "graphql", "ofrep", "stream", "websocket"}
        assert kinds_of(heard) >= {"events", "page", "command", "log", "sink", "file", "dump"}
        assert kinds_of(heard) >= {"sealed", "archive"}
        assert sum(len(content) for _place, content in heard) > 500_000


def kinds_of(places):
    return {place.partition(" ")[0] for place, *_more in places}


@pytest.mark.parametrize("kind", range(4))
def test_search__leak_in_any_form__is_found(kind):
    value = canaries.make(4)[kind]
    for name, form in canaries.forms(value).items():
        found = canaries.search([("somewhere", b"before " + form + b" after")], ["other", value])

        assert ("somewhere", 1, name) in found


@pytest.mark.servers(database=pytest.long_form)
def test_search__leak_planted_in_each_place__is_found():
    """A value in plain text is published as key, value, flag and message: every place that the
    other test looks into shows it.
    """
    (value,) = canaries.make(1)
    flag = {"enabled": True, "variants": {"one": value}}
    body = {"environment": "production", "config": {value: value, "flags": {"leak": flag}}}
    heard = []
    with installation() as made:
        since = log_segment(made)
        server, api = begin(made, heard)
        with Listeners(server, made.raw, heard):
            answer = api("POST", "/config/shop", json=body | {"message": value})
            assert answer.status_code == 201, answer.text
            fetch(api, heard)
            Browser(made, heard).look()
            heard += commands(made)
        with server.log.open("a") as log:
            log.write(f"oops {value}\n")
        (made.folder / "left-behind").write_text(value)
        plant_in_redis(made, value)
        heard += [*archives(made), *files(made), *database(made, since), *redis(made)]

        found = kinds_of(canaries.search(heard, [value]))
        assert kinds_of(heard) - found == UNPLANTED

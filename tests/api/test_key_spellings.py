"""A key that a rule hides, asked for in every way to write it: it is as good as missing."""

import json

import pytest

from tests.api.test_key_rules import WHERE, rule  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

HIDDEN = "settings.db.password"
SPELLINGS = [
    HIDDEN,
    "settings.db%2Epassword",
    "%73ettings%2edb%2epassword",
    "settings%252Edb%252Epassword",
    "settings.db%5B%22password%22%5D",
    "%5B%22settings%22%5D%5B%22db%22%5D%5B%22password%22%5D",
    "%5B%22settings%22%5D.db.password",
    "settings.db.pass%77ord",
    "hosts%5B0%5D.password",
    "hosts%5B0%5D%5B%22password%22%5D",
    "hosts[00].password",
    "settings.db.Password",
    "settings.db.pass%00word",
    "settings.db.password%20",
    "/settings/db/password",
    "settings..db.password",
]


@pytest.mark.parametrize("key", SPELLINGS)
def test_hidden_key__however_it_is_spelt__is_answered_as_a_missing_one(rule, make_api, key):  # noqa: F811
    """Paths are decoded once, by the server, and judged as what they then say."""
    viewer = make_api("viewer", "shop", "production")

    missing = key.replace("password", "passwort").replace("pass", "pasz")
    for address in ("value", "explain", "history", "readers"):
        found, other = (
            viewer.get(f"/config/shop/{address}?{WHERE}&key={k}") for k in (key, missing)
        )
        assert found.status_code == other.status_code, address
        assert found.content.replace(b"password", b"passwort") == other.content.replace(
            b"password", b"passwort"
        ), address
        assert b"first" not in found.content
    for address in (f"/config/shop?{WHERE}&key={key}", f"/config/shop.yaml?{WHERE}&key={key}"):
        answer = viewer.get(address)
        assert b"first" not in answer.content
        assert b'"x"' not in answer.content


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/settings/db/password", "value": "first"},
        {"op": "copy", "from": "/settings/db/password", "path": "/told"},
        {"op": "move", "from": "/settings/db/password", "path": "/told"},
        {"op": "replace", "path": "/settings/db/password", "value": "x"},
        {"op": "remove", "path": "/settings/db/password"},
        {"op": "copy", "from": "/hosts/0/password", "path": "/told"},
    ],
)
def test_json_patch__on_a_hidden_key__is_answered_as_on_a_missing_one(
    rule,  # noqa: F811
    make_api,
    operation,
):
    writer = make_api("operator", "shop", "production")

    def told(name):
        given = json.dumps([operation]).replace("password", name)
        kind = "application/json-patch+json"
        answer = writer("PATCH", f"/config/shop?{WHERE}&dry_run=true", given, kind)
        return answer.status_code, answer.content.replace(name.encode(), b"NAME")

    assert told("password") == told("passwort")
    assert told("password")[0] >= 400

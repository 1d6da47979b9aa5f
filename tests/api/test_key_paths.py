"""A key is decoded once and judged by its canonical path, however it is spelled and wherever asked."""

import json

import pytest

from apps.access import key_rules, services
from apps.access.policy import EVERYWHERE
from tests.api.graphql_client import data
from tests.portal.conftest import log_in  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

HERE = "environment=production"
HIDDEN, DOTTED = "canary-behind-a-rule", "canary-with-a-dot"
CONFIG = {
    "s": {"p": HIDDEN, "open": "free"},
    "s.p": DOTTED,
    "s%2Ep": "value-literal",
    "%73": {"p": "value-percent"},
}
OF_HIDDEN = [
    "s.p",
    's["p"]',
    '["s"]["p"]',
    '["s"].p',
    '["\\s"]["\\p"]',
    "%73.p",
    "s%2Ep",
    "%73%2e%70",
    "s%5B%22p%22%5D",
]
OF_DOTTED = ['["s.p"]', "%5B%22s.p%22%5D", '["s%2Ep"]', '["s\\.p"]', '["%73.p"]']
OF_LITERAL = ["s%252Ep", '["s%252Ep"]', '["s%252%45p"]']
OF_PERCENT = ["%2573.p", '%2573["p"]', '["%2573"]%2Ep']
PATTERNS = ["s", "*", "**", "*.p", "s.*", "**.p", '*["p"]', "%2A%2A", "s.p*", "s*", "%73*.%2A"]
SPELLINGS = [
    *((text, HIDDEN) for text in OF_HIDDEN),
    *((text, DOTTED) for text in OF_DOTTED),
    *((text, "value-literal") for text in OF_LITERAL),
    *((text, "value-percent") for text in OF_PERCENT),
]
CANONICAL = {
    HIDDEN: "s.p",
    DOTTED: '["s.p"]',
    "value-literal": "s%2Ep",
    "value-percent": "%73.p",
}
ABSENT = "s.absent"


@pytest.fixture
def built(shop, system, operator):
    """A version each for what is free, for each hidden key, and for each key with a percent."""
    rules = [
        key_rules.create_key_rule(actor=system, pattern=pattern, place=EVERYWHERE)
        for pattern in ("s.p", '["s.p"]')
    ]
    made = {"s": {"open": "free"}}
    owner = grant_all(operator, rules, system)
    for path in ((), ("s", "p"), ("s.p",), ("s%2Ep",), ("%73",)):
        if path == ("s", "p"):
            made = {**made, "s": CONFIG["s"]}
        elif path:
            made = {**made, path[0]: CONFIG[path[0]]}
        body = {"environment": "production", "config": made, "on_stale": "overwrite"}
        assert owner.post("/config/shop", body).status_code == 201
    return owner


def grant_all(api, rules, system):
    for rule in rules:
        for verb in ("list", "read", "edit", "publish"):
            services.grant(
                actor=system, to=f"service-account:{api.account.slug}", verb=verb, on=rule
            )
    return api


@pytest.fixture
def clerk(built, make_api):
    """Reads everything but what the rules guard."""
    return make_api("viewer")


def ask(api, way, text):
    answer = api.get(f"/config/shop{way}{'&' if '?' in way else '?'}{HERE}&key={text}")
    return answer.status_code, answer.content.decode()


def values_in(found):
    return {value for value in CANONICAL if value in found}


@pytest.mark.parametrize("way", ["", ".yaml", "/value", "/across"])
def test_key__however_it_is_spelled__is_that_one_key(built, way):
    for text, value in SPELLINGS:
        status, found = ask(built, way, text)

        assert (text, status, values_in(found)) == (text, 200, {value})


def test_explain_and_history__however_a_key_is_spelled__are_of_that_one_key(built):
    for text, value in SPELLINGS:
        explained = json.loads(ask(built, "/explain", text)[1])["results"]
        history = json.loads(ask(built, "/history", text)[1])["results"]

        assert [each["key"] for each in explained] == [CANONICAL[value]]
        assert [each["version"] for each in history] == [list(CANONICAL).index(value) + 2]


@pytest.mark.parametrize("way", ["", ".yaml", ".env", "/value", "/explain", "/across", "/history"])
def test_hidden_key__however_it_is_spelled__is_as_one_that_is_not_there(clerk, way):
    absent = ask(clerk, way, ABSENT)
    for text in (*OF_HIDDEN, *OF_DOTTED):
        assert (text, *ask(clerk, way, text)) == (text, *absent)
    for text in PATTERNS:
        _status, found = ask(clerk, way, text)
        assert HIDDEN not in found
        assert DOTTED not in found


def test_key__in_a_json_body__is_not_decoded_at_all(built, clerk):
    query = """query ($keys: [String!]!) { configuration(service: "shop", environment: "production")
        { live { config(keys: $keys) } explain(keys: $keys) { key } } }"""
    for text, of_owner, of_clerk in (
        ("s.p", {HIDDEN}, set()),
        ('["s"]["p"]', {HIDDEN}, set()),
        ('["s.p"]', {DOTTED}, set()),
        ("s%2Ep", {"value-literal"}, {"value-literal"}),
        ("%73.p", {"value-percent"}, {"value-percent"}),
        ("s%252Ep", set(), set()),
    ):
        for api, wanted in ((built, of_owner), (clerk, of_clerk)):
            found = data(api, query, keys=[text])["configuration"]

            assert values_in(json.dumps(found["live"])) == wanted
            assert [each["key"] for each in found["explain"]] == [
                CANONICAL[each] for each in wanted
            ]


@pytest.mark.parametrize("page", ["explain", "across"])
def test_page__finding_a_hidden_key_however_it_is_spelled__shows_nothing(built, log_in, page):  # noqa: F811 - a fixture
    reader = log_in("ada", ("viewer", "shop", None))
    owner = log_in("ines", superuser=True)
    url = f"/admin/config/shop/production/{page}/?key="
    for text in (*OF_HIDDEN, *OF_DOTTED, *PATTERNS):
        found = reader.get(url + text).content.decode()
        assert HIDDEN not in found
        assert DOTTED not in found
    for text, value in SPELLINGS:
        assert value in owner.get(url + text).content.decode()

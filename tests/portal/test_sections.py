"""Sections on the configuration page: what is live at a glance, help, and examples."""

import json
import re

import pytest

from apps.configs import sources

pytestmark = pytest.mark.django_db

PLACE = "/admin/config/shop/production/"
DOCUMENT = """
limits: {cpu: {request: 250m, limit: 1}, memory: {request: 7Mi, limit: 9Gi}}
where: {cart: {policy: weighted, endpoints: [{url: "tcp://a:1", weight: 3}, "b:2"], health: /up}}
flags: {banner: {enabled: true, share: 25}, page: {enabled: false, variants: [old, new]}}
env: {LOG_LEVEL: debug}
security: {cookie: {secure: true}, tls: {min_version: "1.3"}}
"""
TYPES = {
    "limits": "resource_limits",
    "where": "service_discovery",
    "flags": "feature_flags",
    "env": "environment_variables",
    "security": "security_settings",
    "settings": "application_settings",
}


@pytest.fixture
def typed(shop, system):
    """``shop`` with a section of each type, published in production."""
    from apps.access.policy import Place
    from apps.configs.services import publishing, sections
    from apps.configs.services.publishing import Options
    from apps.registry.selectors import get_environment

    for key, kind in TYPES.items():
        sections.create_section(actor=system, service=shop, key=key, type=kind)
    publishing.publish(
        actor=system,
        place=Place(shop, get_environment("production")),
        source=sources.from_text(DOCUMENT, "yaml"),
        options=Options(),
    )
    return shop


def words(answer):
    """The page's words as a reader sees them."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def helped(answer):
    found = re.search(r'id="editor-schema"[^>]*>(.*?)</script>', answer.content.decode(), re.DOTALL)
    return json.loads(found[1])


def test_page__each_type__is_shown_in_rows_that_suit_it(typed, log_in):
    page = words(log_in("vera", ("viewer", "shop", None)).get(PLACE))

    for shown in (
        "cpu request 250m limit 1 25 % 25 % 0.25 / 1",
        "cart tcp://a:1 75 % 75 % b:2 25 % 25 % weighted health /up",
        "banner on for 25 %",
        "page off old , new string",
        "LOG_LEVEL debug",
        "cookie secure true tls min_version 1.3",
    ):
        assert shown in page


def test_page__hidden_keys__are_in_no_row(typed, log_in, system):
    from apps.access import key_rules
    from apps.access.policy import EVERYWHERE

    key_rules.create_key_rule(actor=system, pattern="limits.memory", place=EVERYWHERE)
    key_rules.create_key_rule(actor=system, pattern="where.**", place=EVERYWHERE)
    key_rules.create_key_rule(actor=system, pattern="flags.page.enabled", place=EVERYWHERE)

    page = words(log_in("vera", ("viewer", "shop", None)).get(PLACE))

    assert "250m" in page
    assert not any(hidden in page for hidden in ("7Mi", "9Gi", "tcp://a:1"))
    assert "unknown" in page


def test_page__very_many_rows__are_cut_and_counted(typed, log_in, operator):
    variables = {f"V{i}": "x" for i in range(300)}
    body = {"environment": "production", "config": {"env": variables}, "on_stale": "overwrite"}
    assert operator.post("/config/shop", body).status_code == 201

    assert "and 100 more" in words(log_in("vera", ("viewer", "shop", None)).get(PLACE))


def test_page__help__has_each_sections_type_and_shape(typed, log_in):
    told = helped(log_in("vera", ("viewer", "shop", None)).get(PLACE))

    assert {key: each["type"] for key, each in told.items()}["limits"] == "Resource limits"
    assert "cpu" in told["limits"]["shape"]["properties"]
    assert all(each["about"] for each in told.values())


def example(client, section, content="own: 1  # mine\n", format="yaml"):  # noqa: A002
    form = {"section": section, "content": content, "format": format}
    return client.post(f"{PLACE}example/", form)


@pytest.mark.parametrize("key", TYPES)
@pytest.mark.parametrize("format_", ["yaml", "json", "toml", "xml"])
def test_example__of_each_type__is_put_into_the_text_and_is_valid(typed, log_in, key, format_):
    from apps.engine import formats, schemas
    from apps.engine.sections import SECTION_TYPES

    person = log_in("dev", ("developer", "shop", None))
    start = {"yaml": "own: 1  # mine\n", "json": '{"own": 1}', "toml": "own = 1 # mine\n"}
    text = start.get(format_, '<config><own type="integer">1</own></config>')

    answer = example(person, key, text, format_)

    assert answer.status_code == 200, answer.content
    tree = formats.parse(answer.json()["content"], format_).tree
    kind = SECTION_TYPES[TYPES[key]]
    assert tree["own"] == 1
    assert schemas.validate(kind.schema, tree[key]) == kind.check(tree[key]).errors == []
    assert ("# mine" in answer.json()["content"]) == ("# mine" in text)


def test_example__beside_what_is_there__keeps_that(typed, log_in):
    person = log_in("dev", ("developer", "shop", None))

    answer = example(person, "limits", "limits:\n  cpu: 9  # mine\n").json()
    again = example(person, "limits", answer["content"]).json()

    assert "  cpu: 9  # mine\n" in answer["content"]
    assert (answer["added"], again["added"]) == (3, 0)
    assert again["content"] == answer["content"]


@pytest.mark.parametrize(
    ("section", "content", "format_"),
    [
        ("nothing", "a: 1", "yaml"),
        ("limits", "a: [", "yaml"),
        ("limits", "limits: 5", "yaml"),
        ("limits", "a: 1", "docx"),
        ("limits", "", "json"),
    ],
)
def test_example__that_cannot_be__is_422_with_what_to_do(typed, log_in, section, content, format_):
    answer = example(log_in("dev", ("developer", "shop", None)), section, content, format_)

    assert answer.status_code == 422
    assert answer.json()["detail"]

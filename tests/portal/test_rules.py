"""Rules in the portal: the form, its texts, and what is live and would fail."""

import pytest

pytestmark = pytest.mark.django_db

ADD = "/admin/configs/rule/add/"


def form(**members):
    sent = {
        "name": "pool",
        "service": "",
        "environment": "",
        "severity": "error",
        "expression": "config.pool >= 10",
        "key": "",
        "equals": "",
        "message": "Ten at least.",
        "description": "",
        "tests": "- {config: {pool: 5}, holds: false}",
    }
    return {**sent, **members}


@pytest.fixture
def ada(shop, log_in):
    return log_in("ada", ("administrator", None, None))


def rule():
    from apps.configs.models import Rule

    return Rule.objects.get()


def texts(answer):
    return " ".join(answer.content.decode().split())


def test_form__with_tests__makes_a_rule_and_shows_it_again(ada):
    assert ada.post(ADD, form()).status_code == 302

    page = texts(ada.get(f"/admin/configs/rule/{rule().pk}/change/"))
    shown = texts(ada.get("/admin/configs/rule/"))

    assert rule().tests == '[{"config":{"pool":5},"holds":false}]'
    assert "config.pool &gt;= 10" in page
    assert "&quot;holds&quot;:false" in page
    assert "everything" in shown


def test_form__of_a_configuration_test__keeps_the_value_with_its_type(ada):
    sent = form(expression="", key="settings.timeout", equals="2500", tests="")
    assert ada.post(ADD, sent).status_code == 302

    assert (rule().key, rule().equals, rule().expression) == ("settings.timeout", "2500", "")
    change = f"/admin/configs/rule/{rule().pk}/change/"
    assert ada.post(change, {**sent, "equals": "[1, two]"}).status_code == 302
    assert rule().equals == '[1,"two"]'
    assert ada.post(change, form()).status_code == 302
    assert (rule().key, rule().expression) == ("", "config.pool >= 10")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"expression": "config.pool >"}, "Syntax error: mismatched input"),
        ({"tests": "- {config: {pool: 50}, holds: false}"}, "and the test says it does not hold"),
        ({"tests": "- {config: ["}, "This is not YAML"),
        ({"expression": ""}, "A rule has an expression, or a key and a value."),
        ({"expression": "", "key": "a.b"}, "A key needs the value that it must have."),
    ],
)
def test_form__that_is_refused__keeps_what_was_typed(ada, members, said):
    answer = ada.post(ADD, form(**members))

    assert answer.status_code == 200
    assert said in texts(answer)
    assert "Ten at least." in texts(answer)


def test_form__of_what_live_configurations_break__names_them_and_takes_a_yes(ada, operator):
    body = {"environment": "production", "config": {"pool": 5}}
    assert operator.post("/config/shop", body).status_code == 201

    refused = ada.post(ADD, form())
    known = ada.post(ADD, form(acknowledge="on"))

    assert "shop@production /pool: Rule &#x27;pool&#x27;: Ten at least." in texts(refused)
    assert (
        "1 live configuration(s) would not be valid any more, as far as you may read them."
        in texts(refused)
    )
    assert "or choose “Save although live configurations fail”" in texts(refused)
    assert "&quot;acknowledge&quot;:true" not in texts(refused)
    assert known.status_code == 302
    from apps.registry.models import Service

    section = {
        "service": Service.objects.get().pk,
        "key": "pool",
        "type": "application_settings",
        "schema": '{"minimum":10}',
        "description": "",
    }
    assert "shop@production /pool" in texts(ada.post("/admin/configs/section/add/", section))
    assert (
        ada.post("/admin/configs/section/add/", {**section, "acknowledge": "on"}).status_code == 302
    )

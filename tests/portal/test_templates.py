"""Templates on their page and in the editor: parameters, bases, preview, and what is sent back."""

import json

import pytest

pytestmark = pytest.mark.django_db

ADD = "/admin/configs/template/add/"
PLACE = "/admin/config/shop/production"
PARAMETERS = """properties:
  host: {type: string, examples: [db.example.org]}
  pool: {type: integer, default: 5}
required: [host]
"""
CONTENT = "url: tcp://${param:host}\npool: ${param:pool}\nbig: {$if: params.pool > 9, then: yes}\n"


def form(**members):
    sent = {"slug": "db", "name": "Databases", "content": CONTENT, "parameters": PARAMETERS}
    return {**sent, "extends": "", "message": "", **members}


@pytest.fixture
def ada(shop, log_in):
    client = log_in("ada", ("administrator", None, None))
    assert client.post(ADD, form()).status_code == 302
    return client


def change():
    from apps.configs.models import Template

    return f"/admin/configs/template/{Template.objects.get(slug='db').pk}/change/"


def newest(slug):
    from apps.configs.models import TemplateVersion

    return TemplateVersion.objects.filter(template__slug=slug).first()


def test_form__parameters_and_bases__are_published_with_the_content(ada):
    made = newest("db")
    assert json.loads(made.parameters)["required"] == ["host"]
    extends = "- template: db\n  with: {host: h}\n"
    more = form(slug="web", parameters="", content="a: 1\n", extends=extends)

    assert ada.post(ADD, more).status_code == 302

    assert json.loads(newest("web").extends) == [{"template": "db", "with": {"host": "h"}}]
    page = ada.get(change()).content.decode()
    assert "properties:" in page
    same = form(base_version="1")
    del same["slug"]
    assert ada.post(change(), same).status_code == 302
    assert newest("db").number == 1


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"parameters": "a: [\n"}, "Line"),
        ({"extends": "- template: db\n- [\n"}, "Line"),
        ({"extends": "- template: none\n"}, "There is no template"),
        ({"content": "a: {$if: params.x >, then: 1}\n"}, "Syntax error"),
        ({"parameters": "type: no\n"}, "no"),
    ],
)
def test_form__what_cannot_be_read__is_said_and_stays_in_the_form(ada, members, message):
    answer = ada.post(ADD, form(slug="web", **members))

    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert next(iter(members.values())).split("\n")[0].strip() in answer.content.decode().replace(
        "&gt;", ">"
    )
    assert newest("web") is None


def test_preview__is_of_the_examples_and_of_what_one_tries(ada, log_in):
    page = ada.get(change()).content.decode()
    assert "url: tcp://db.example.org" in page
    assert "pool: 5" in page

    tried = ada.get(change(), {"with": "host: h\npool: 10\n"}).content.decode()
    assert "url: tcp://h" in tried
    assert "big:" in tried.split('id="preview"')[1]
    assert "big:" not in page.split('id="preview"')[1]
    wrong = ada.get(change(), {"with": "pool: x\n"}).content.decode()
    assert "/with/pool" in wrong
    unread = ada.get(change(), {"with": "a: [\n"})
    assert unread.status_code == 200
    lister = log_in("eve")
    assert "tcp://" not in lister.get(change()).content.decode()


def test_preview__at_a_configuration__shows_what_references_are_there(ada, system, log_in):
    from apps.access import services
    from apps.access.policy import EVERYWHERE

    content = "of: ${self:port:-7}\nurl: tcp://${param:host}\n"
    assert ada.post(change(), {**form(content=content, base_version="1")}).status_code == 302
    plain = ada.get(change()).content.decode().split('id="preview"')[1]
    assert "${self:port:-7}" in plain

    there = ada.get(change(), {"with": "host: h\n", "at": "shop@production"})
    nowhere = ada.get(change(), {"with": "host: h\n", "at": "none@production"})

    shown = there.content.decode().split('id="preview"')[1]
    assert "of: 7" in shown
    assert 'value="shop@production"' in shown
    assert "url: tcp://h" not in nowhere.content.decode()
    assert nowhere.status_code == 200
    eve = log_in("eve")
    services.grant(actor=system, to="user:eve", verb="manage", on=EVERYWHERE)
    assert "of: 7" not in eve.get(change(), {"at": "shop@production"}).content.decode()


def test_editor__parameters__stay_in_the_form_the_draft_and_what_is_published(ada):
    entry = {"template": "db", "with": {"host": 'a"b'}}
    sent = {"content": "own: 1\n", "format": "yaml", "base_version": "0", "page": "p"}
    sent["extends"] = json.dumps(entry)

    saved = ada.post(f"{PLACE}/draft/", sent)
    assert saved.status_code in (200, 204, 302), saved.content
    page = ada.get(f"{PLACE}/").content.decode()
    assert "takes host, pool" in page
    assert "{&quot;host&quot;:&quot;a\\&quot;b&quot;}" in page
    sent["known"] = ""
    done = ada.post(f"{PLACE}/publish/", {**sent, "page": "p"})
    assert done.status_code == 302, done.content

    from apps.configs.models import Live

    version = Live.objects.get().version
    assert json.loads(version.extends) == [entry]
    users = ada.get(change()).content.decode()
    assert f'href="{PLACE}/">shop@production</a>' in users.replace("'", '"')
    assert "at v1" in users
    assert "user:ada, 20" in users
    stale = ada.post(f"{PLACE}/publish/", {**sent, "content": "own: 2\n"})
    assert stale.status_code == 409
    assert "&quot;with&quot;:{&quot;host&quot;" in stale.content.decode()


@pytest.mark.parametrize("given", ['"{\\"host\\": "', '{"host":1,"host":2}', "NaN"])
def test_editor__parameters_that_cannot_be_read__are_refused_and_stay_in_the_draft(ada, given):
    from apps.configs.models import Change, Live

    sent = {"content": "own: 1  # mine\n", "format": "yaml", "base_version": "0", "page": "p"}
    sent["extends"] = f'{{"template":"db","with":{given}}}'

    answer = ada.post(f"{PLACE}/publish/", sent, follow=True)

    assert answer.status_code == 200
    assert "is an object of parameters" in answer.content.decode()
    assert Change.objects.get().content == "own: 1  # mine\n"
    assert given.strip('"')[:4].replace("\\", "") in answer.content.decode().replace("&quot;", '"')
    assert not Live.objects.exists()


def test_merge__by_who_does_not_see_all__keeps_the_parameters_that_he_typed(ada, operator, log_in):
    from apps.configs.models import Change

    assert ada.post(ADD, form(slug="web", parameters=PARAMETERS)).status_code == 302
    base = {"environment": "production", "on_stale": "overwrite"}
    extends = [{"template": "db", "with": {"host": "HIDDEN"}}]
    for number in (1, 2):
        config = {"own": number, "k": number}
        sent = {**base, "config": config, "extends": extends}
        assert operator.post("/config/shop", sent).status_code == 201
    operator.post("/key-rules", {"pattern": "url", "service": "shop"})
    bob = log_in("bob", ("operator", "shop", "production"))
    sent = {
        "content": "own: 1\nk: 1\nmine: 1\n",
        "format": "yaml",
        "base_version": "1",
        "page": "p",
    }
    typed = '{"template":"web","with":{"host":"typed"}}'

    answer = bob.post(f"{PLACE}/draft/", {**sent, "merge": "1", "extends": ["db", typed]})

    assert answer.status_code == 302, answer.content
    kept = json.loads(Change.objects.get().extends)
    assert kept == [{"template": "db"}, {"template": "web", "with": {"host": "typed"}}]


def texts(answer):
    return " ".join(answer.content.decode().split())


def publish(api, document, extends, name="shop"):
    body = {"environment": "production", "config": document, "extends": extends}
    return api.post(f"/config/{name}", {**body, "on_stale": "overwrite"})


def seal(page):
    return page.split('name="reviewed" value="')[1].split('"')[0]


def test_form__of_a_template_that_others_use__shows_their_changes_before_it_saves(ada, operator):
    used = [{"template": "db", "with": {"host": "h"}}]
    assert publish(operator, {"own": 1}, used).status_code == 201
    page = texts(ada.get(change()))
    assert 'name="base_version" value="1"' in page
    sent = form(base_version="1", content=CONTENT + "timeout: 3\n", message="Time out")

    shown = texts(ada.post(change(), sent))

    assert newest("db").number == 1
    assert "Please correct" not in shown
    assert "Publish version 2 of db?" in shown
    assert "This publishes to 1 configuration: <b>1 in production</b>." in shown
    assert ">Publish version 2 of db to 1 configuration</button>" in shown
    assert "<code>shop@production</code>" in shown
    assert "<code>timeout</code> <ins>3</ins>" in shown
    assert "timeout: 3" in shown.split("What you wrote")[1]
    assert ada.post(change(), {**sent, "reviewed": "another"}).status_code == 200
    assert ada.post(change(), {**sent, "reviewed": seal(shown)}).status_code == 302
    assert (newest("db").number, newest("db").message) == (2, "Time out")
    told = "Published version 2 of db. 1 other configuration(s) followed."
    assert told in texts(ada.get(change()))


def test_form__of_a_template_of_many__shows_once_what_changes_alike(ada, operator):
    for number in range(12):
        operator.post("/services", {"slug": f"web-{number}"})
        of = {"host": "odd" if number == 7 else "h"}
        assert publish(operator, {}, [{"template": "db", "with": of}], f"web-{number}").status_code
    sent = form(base_version="1", content=CONTENT.replace("tcp://", "udp://"))

    shown = texts(ada.post(change(), sent))

    assert "This publishes to 12 configurations: <b>12 in production</b>." in shown
    assert "11 configurations, alike" in shown
    assert shown.count('<li class="changed">') == 2
    users = texts(ada.get(change())).split("<details class='p-users' open>")[1]
    assert "Live configurations that extend it: 12</summary>" in users
    assert shown.index("web-7@production") < shown.index("udp://odd")


def test_form__whose_users_would_be_invalid__is_refused_or_leaves_them(ada, operator):
    assert publish(operator, {"own": 1}, [{"template": "db", "with": {"host": "h"}}]).status_code
    rule = {"name": "small", "expression": "config.pool < 9"}
    assert operator.post("/rules", rule).status_code == 201
    sent = form(base_version="1", content=CONTENT.replace("${param:pool}", "20"))

    refused = texts(ada.post(change(), sent))
    left = texts(ada.post(change(), {**sent, "leave": "on"}))

    assert "shop@production /pool: Rule" in refused
    assert 'name="leave"' in refused
    assert "it would be invalid: it becomes outdated" in left
    assert ">Publish version 2 of db and leave 1 configuration outdated</button>" in left
    done = ada.post(change(), {**sent, "leave": "on", "reviewed": seal(left)})
    assert (done.status_code, newest("db").number) == (302, 2)
    live = operator.get("/config/shop?environment=production").json()
    assert (live["outdated"], live["config"]["pool"]) == (True, 5)


def test_form__opened_before_somebody_else_published__shows_what_changed_and_keeps_the_text(
    ada, operator
):
    body = {"content": {"url": "theirs", "pool": 7}, "message": "Meanwhile"}
    assert operator.post("/templates/db/versions", body).status_code == 201
    mine = form(base_version="1", content=CONTENT + "mine: 1\n")

    stale = texts(ada.post(change(), mine))

    assert newest("db").number == 2
    assert "Version 2 was published by" in stale
    assert "Meanwhile" in stale
    assert "<code>content.url</code></th>" in stale
    assert "<code>&quot;theirs&quot;</code>" in stale
    assert "mine: 1" in stale
    assert texts(ada.post(change(), {**mine, "base_version": ""})).count("What changed since") == 1
    seen = {**mine, "base_version": ["1", "2"]}
    assert ada.post(change(), seen).status_code == 302
    assert (newest("db").number, "mine" in newest("db").content.content) == (3, True)


def test_environment_form__with_another_parent__shows_what_follows_before_it_saves(ada, operator):
    from apps.registry.selectors import get_environment

    assert publish(operator, {"a": 1}, []).status_code == 201
    own = {"environment": "staging", "config": {"own": 1}}
    assert operator.post("/config/shop", own).status_code == 201
    staging, production = get_environment("staging"), get_environment("production")
    at = f"/admin/registry/environment/{staging.pk}/change/"
    sent = {"name": "Staging", "rank": "20", "parent": str(production.pk)}

    shown = texts(ada.post(at, sent))

    assert get_environment("staging").parent is None
    assert "<code>shop@staging</code>" in shown
    assert "<code>a</code> <ins>1</ins>" in shown
    assert ">Save staging and publish to 1 configuration</button>" in shown
    assert ada.post(at, {**sent, "reviewed": seal(shown)}).status_code == 302
    assert get_environment("staging").parent == production
    assert operator.get("/config/shop?environment=staging").json()["config"] == {"a": 1, "own": 1}

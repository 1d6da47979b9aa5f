"""What follows from an act: heirs, users of templates and of keys move with it, in one revision."""

import json
import random

import pytest

from tests.api.test_references import HERE, config, errors, publish
from tests.flows.random_graph import RandomGraph

pytestmark = pytest.mark.django_db


def service(api, *slugs):
    for slug in slugs:
        assert api.post("/services", {"slug": slug}).status_code == 201


def last(api, name, environment="production"):
    rows = api.get(f"/config/{name}/history?environment={environment}").json()["results"]
    return rows[0]


def test_template__published__is_in_all_its_users_in_one_act(operator):
    service(operator, "a", "b", "c")
    operator.post("/templates", {"slug": "base", "content": {"pool": 5, "x": {"y": 1}}})
    for name in ("a", "b"):
        publish(
            operator, name, {"own": name, "ref": "${self:pool}"}, extends=[{"template": "base"}]
        )
    publish(operator, "c", {"from": "${a:pool}"})

    made = operator.post("/templates/base/versions", {"content": {"pool": 9, "x": {"y": 1}}})

    assert made.status_code == 201
    assert config(operator, "a") == {"pool": 9, "x": {"y": 1}, "own": "a", "ref": 9}
    assert config(operator, "c") == {"from": 9}
    rows = [last(operator, name) for name in ("a", "b", "c")]
    assert [row["cause"] for row in rows] == ["template", "template", "reference"]
    assert len({row["revision"] for row in rows}) == 1
    events = operator.get("/audit?action=template.published").json()["results"]
    assert events[0]["revision"] == rows[0]["revision"]


def test_parent__published__reaches_grandchildren_over_one_without_a_document(operator, shop):
    operator("PATCH", "/environments/staging", {"parent": "production"})
    operator("PATCH", "/environments/development", {"parent": "staging"})
    publish(operator, "shop", {"a": {"x": 1}, "b": "${self:a.x}"})
    publish(operator, "shop", {"c": 1}, environment="development")

    publish(operator, "shop", {"a": {"x": 2}, "b": "${self:a.x}"})

    assert config(operator, "shop", "development") == {"a": {"x": 2}, "b": 2, "c": 1}
    assert last(operator, "shop", "development")["cause"] == "inherited"


def test_parent__that_says_the_same_otherwise__reaches_who_overrides_a_part(operator, shop):
    operator("PATCH", "/environments/staging", {"parent": "production"})
    publish(operator, "shop", {"a": 1, "b": 1})
    publish(operator, "shop", {"a": 5}, environment="staging")

    publish(operator, "shop", {"a": 1, "b": "${self:a}"})

    assert config(operator, "shop", "staging") == {"a": 5, "b": 5}


def test_documents__that_refer_to_each_other__come_to_rest_in_one_act(operator):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}", "w": 0})
    publish(operator, "a", {"x": 1, "z": "${b:y}", "v": "${b:w}"})

    done = publish(operator, "a", {"x": 2, "z": "${b:y}", "v": "${b:w}"})

    assert done.status_code == 201
    assert config(operator, "a") == {"x": 2, "z": 2, "v": 0}
    assert config(operator, "b") == {"y": 2, "w": 0}
    assert done.json()["version"] == last(operator, "a")["version"] == 3
    assert done.json()["checksum"] == operator.get(f"/config/a?{HERE}").json()["checksum"]


def test_item__that_goes_or_moves__reaches_who_refers_to_a_later_one(operator):
    service(operator, "a", "b")
    schema = {"items": {"type": "object"}, "x-merge-key": "n"}
    operator.post("/services/a/sections", {"key": "m", "schema": schema})
    named = [{"n": name} for name in "xyz"]
    publish(operator, "a", {"l": [1, 2, 3], "m": named})
    publish(operator, "b", {"last": "${a:l[2]:-9}", "middle": "${a:m[1].n}"})

    publish(operator, "a", {"l": [1, 3], "m": named[1:] + named[:1]})

    assert config(operator, "b") == {"last": 9, "middle": "z"}


@pytest.mark.parametrize("why", ["pinned", "protected", "invalid"])
def test_left__stays_as_it_is_outdated_until_it_is_refreshed(operator, why):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}", "n": 1})
    asked = {}
    if why == "pinned":
        publish(operator, "a", {"x": 0})
        back = operator.post("/config/b/rollback", {"environment": "production", "to_version": 1})
        assert back.json()["pinned"] is True
    elif why == "protected":
        operator("PATCH", "/environments/production", {"protected": True})
    else:
        schema = {"type": "object", "properties": {"y": {"maximum": 1}}}
        operator.post("/services/b/sections", {"key": "y", "schema": {"maximum": 1}})
        asked = {"dependents": "leave"}
        assert errors(publish(operator, "a", {"x": 2}))[0][0] == "/y", schema

    done = publish(operator, "a", {"x": 2}, **asked)

    assert done.json()["affected"] == [
        {"service": "b", "environment": "production", "changes": [], "outdated": why}
    ]
    left = operator.get(f"/config/b?{HERE}").json()
    assert (left["config"]["y"], left["outdated"]) == (1, True)
    event = operator.get("/audit?action=configuration.publish").json()["results"][0]
    data = json.loads(event["data"]) if isinstance(event["data"], str) else event["data"]
    assert data.get("left_invalid", []) == (["b@production"] if why == "invalid" else [])
    if why != "invalid":
        assert operator.post("/config/b/refresh", {"environment": "production"}).status_code == 201
        assert config(operator, "b") == {"y": 2, "n": 1}


@pytest.mark.parametrize("many", [["x" * 600_000], [1] * 12_000])
def test_dependent__that_would_hold_too_much__is_one_that_would_be_invalid(
    operator, make_api, many
):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": ["${a:x}", "${a:x}"]})
    stranger = make_api("operator", "a")
    asked = {"service": "a", "environment": "production", "config": {"x": many}}

    refused = publish(operator, "a", {"x": many})
    hidden = publish(stranger, "a", {"x": many})
    checked = operator.post("/validate", asked).json()

    (error,) = refused.json()["errors"]
    assert (error["service"], error["pointer"], error["code"]) == ("b", "/y/1", "limit")
    assert [each[:2] for each in errors(hidden)] == [("", "dependents")]
    assert (checked["valid"], checked["errors"]) == (False, [error])
    left = publish(operator, "a", {"x": many}, dependents="leave")
    assert (left.status_code, left.json()["affected"][0]["outdated"]) == (201, "invalid")
    again = {"y": ["${a:x}", "${a:x}"], "z": 1}
    own = publish(operator, "b", again)
    assert (own.status_code, own.json()["errors"][0]["service"]) == (400, "b")
    told = operator.post("/validate", {**asked, "service": "b", "config": again}).json()
    assert (told["valid"], told["errors"]) == (False, own.json()["errors"])


def test_protected__when_what_moved_comes_back__is_up_to_date_again(operator):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}"})
    operator("PATCH", "/environments/production", {"protected": True})

    marks = []
    for value in (2, 1):
        publish(operator, "a", {"x": value})
        marks.append(operator.get(f"/config/b?{HERE}").json().get("outdated", False))

    assert marks == [True, False]


def test_refused__names_the_dependent_s_key_or_counts_it(operator, make_api):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}"})
    stranger = make_api("operator", "a")

    refused = publish(operator, "a", {"z": 1})
    hidden = publish(stranger, "a", {"z": 1})
    checked = operator.post(
        "/validate", {"service": "a", "environment": "production", "config": {"z": 1}}
    ).json()

    (error,) = refused.json()["errors"]
    assert (error["service"], error["environment"], error["pointer"]) == ("b", "production", "/y")
    assert [each[:2] for each in errors(hidden)] == [("", "dependents")]
    assert b"/y" not in hidden.content
    assert (checked["valid"], checked["errors"][0]["pointer"]) == (False, "/y")
    assert config(operator, "a") == {"x": 1}
    assert publish(stranger, "a", {"z": 1}, dependents="leave").json()["affected"] == [
        {"hidden": 1}
    ]


def test_restricted_key__that_the_author_may_not_publish__leaves_its_configuration(
    operator, make_api
):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1, "z": 1})
    publish(operator, "b", {"y": "${a:x}", "w": "${a:z}"})
    operator.post("/key-rules", {"pattern": "y", "service": "b", "environment": "production"})
    robot = make_api("operator")

    done = publish(robot, "a", {"x": 2, "z": 1})
    assert done.json()["affected"][0]["outdated"] == "restricted"
    other = publish(robot, "a", {"x": 1, "z": 5})
    assert [change["key"] for change in other.json()["affected"][0]["changes"]] == ["w"]
    assert config(operator, "b") == {"w": 5}  # the rule holds for its maker too


def test_dry_run__tells_what_would_follow_and_stores_nothing(operator):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1})
    publish(operator, "b", {"y": "${a:x}"})
    head = operator.get("/audit").json()["results"][0]["number"]

    told = publish(operator, "a", {"x": 2}, dry_run=True).json()

    assert [each["new"] for each in told["affected"][0]["changes"]] == [2]
    assert config(operator, "b") == {"y": 1}
    assert operator.get("/audit").json()["results"][0]["number"] == head


def unknown_in_locks():
    """What locks name that is no version."""
    from apps.configs.models import Version

    known = {each.pk.hex for each in Version.objects.all()}
    entries = [(row, each) for row in Version.objects.all() for each in json.loads(row.lock)]
    return [(str(row), each) for row, each in entries if each.get("id", min(known)) not in known]


def test_locks__of_what_is_composed_twice_in_an_act__name_versions_that_there_are(operator):
    service(operator, "a", "b", "c")
    operator("PATCH", "/environments/development", {"parent": "production"})
    operator.post("/templates", {"slug": "base", "content": {"n": 1}})
    base = [{"template": "base"}]
    publish(operator, "b", {"v": "${self:n}"}, extends=base)
    publish(operator, "a", {"x": "${b:v}", "s": 1}, extends=base)
    publish(operator, "a", {"x": 7}, environment="development")
    publish(operator, "c", {"n": "${a:n}"})

    operator.post("/templates/base/versions", {"content": {"n": 2}})

    assert [config(operator, name) for name in "abc"] == [
        {"n": 2, "s": 1, "x": 2},
        {"n": 2, "v": 2},
        {"n": 2},
    ]
    assert unknown_in_locks() == []
    publish(operator, "a", {"x": 8}, environment="development")


def test_lock__of_a_document_that_is_left_after_all__names_what_is_live(operator):
    service(operator, "a", "b", "c")
    operator.post("/services/a/sections", {"key": "x", "schema": {"maximum": 1}})
    operator.post("/templates", {"slug": "base", "content": {"n": 1}})
    base = [{"template": "base"}]
    publish(operator, "b", {"v": "${self:n}"}, extends=base)
    publish(operator, "a", {"x": "${b:v}", "y": 5}, extends=base)
    publish(operator, "c", {"m": "${a:y}"}, extends=base)

    body = {"content": {"n": 2}, "dependents": "leave"}
    assert operator.post("/templates/base/versions", body).status_code == 201

    assert config(operator, "a")["n"] == 1
    assert unknown_in_locks() == []


def test_lock__of_what_comes_back_to_what_is_live__names_what_is_live(operator):
    service(operator, "a", "b", "c", "d")
    operator.post("/templates", {"slug": "base", "content": {"n": "1", "w": "11"}})
    publish(operator, "c", {"own": 1}, extends=[{"template": "base"}])
    publish(operator, "b", {"v": "${c:w}"})
    publish(operator, "a", {"s": "${c:n}${b:v}", "k": 1})
    publish(operator, "d", {"p": "${a:k}", "q": "${b:v}"})

    operator.post("/templates/base/versions", {"content": {"n": "11", "w": "1"}})

    assert config(operator, "d") == {"p": 1, "q": "1"}
    assert last(operator, "a")["version"] == 1
    assert unknown_in_locks() == []


def test_lock__of_a_document_published_with_another_that_stays__names_what_is_live(
    system, operator
):
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services.publishing import Options, Publication, publish_many
    from apps.registry.selectors import get_environment, get_service

    service(operator, "a", "b")
    publish(operator, "b", {"x": 1})

    publish_many(
        actor=system,
        items=[
            Publication(
                Place(get_service(name), get_environment("production")),
                sources.from_tree(document),
                Options(on_stale="overwrite"),
            )
            for name, document in (("a", {"y": "${b:x}"}), ("b", {"x": 1}))
        ],
    )

    assert config(operator, "a") == {"y": 1}
    assert unknown_in_locks() == []


def test_random_graphs__published_in_any_order__equal_composing_from_scratch(system):
    """References, parents, templates and protection at random; afterwards everything is composed anew:
    what differs is outdated, and nothing else is.
    """
    from django.db import connection

    from apps.configs.models import Live, Version

    count, acts = (70, 2_000) if pytest.long_form else (12, 130)
    if connection.vendor == "postgresql":  # all in one transaction: nothing is vacuumed meanwhile
        acts = min(acts, 400)
    graph = RandomGraph(system, random.Random(20261126), count)
    for _ in range(acts):
        graph.act()

    done, refused = graph.done, graph.refused
    assert min(done, refused) > acts // 10, (done, refused)
    found = {"current": [], "stale": [], "pinned": []}
    lives = Live.objects.select_related(
        "version__source", "version__effective", "configuration__service"
    ).filter(version__retired=False)
    for live in lives:
        equal, alike = composed_afresh(live)
        if live.pinned:
            found["pinned"].append((str(live.configuration), equal))
        elif live.outdated:
            found["stale"].append((str(live.configuration), alike))
        else:
            found["current"].append((str(live.configuration), equal))
    assert {same for _name, same in found["current"]} == {True}, found["current"]
    assert {same for _name, same in found["stale"]} <= {False}, found["stale"]
    assert found["stale"]
    assert unknown_in_locks() == []
    assert len(found["current"]) > len(found["stale"])
    causes = set(Version.objects.values_list("cause", flat=True))
    assert {"reference", "inherited", "template", "retire", "refresh", "rollback"} <= causes
    assert Version.objects.exclude(promotes="").exists()


def composed_afresh(live):
    """Whether composing the live source afresh gives the document that is live; and whether it also
    gives those that inherit it what they got.
    """
    from apps.configs import composing, sources
    from apps.configs.world import World, merged_tree
    from apps.engine.errors import InvalidError
    from apps.engine.values import same

    place, world = live.configuration, World()
    extends = json.loads(live.version.extends)
    source = sources.from_text(live.version.source.content, live.version.format)
    try:
        layers = composing.load_layers(place.service, place.environment, extends, world)
        fresh = composing.compose(layers, source.tree)
    except InvalidError:
        return False, False
    equal = fresh.text == live.version.effective.content
    return equal, equal and same(fresh.merged, merged_tree(live.version, layers.merge_keys))


def test_rollback__to_any_version__gives_its_document_byte_for_byte(system):
    """Whatever has moved since: templates, parents, and what it refers to."""
    from django.db import connection

    from apps.access.policy import Place
    from apps.configs.models import Version
    from apps.configs.services.bases import Options
    from apps.configs.services.rollback import rollback

    acts = 5_000 if pytest.long_form else 120
    if connection.vendor == "postgresql":  # as above
        acts = min(acts, 400)
    chance = random.Random(20261127)
    graph = RandomGraph(system, chance, 6)
    done = pinned = 0
    for _ in range(acts):
        graph.act()
        if chance.random() > 0.3:
            continue
        rows = Version.objects.select_related(
            "configuration__service", "configuration__environment"
        )
        there = rows.filter(retired=False).order_by("revision", "configuration")
        if not there.exists():
            continue
        target = there[chance.randrange(there.count())]
        place = Place(target.configuration.service, target.configuration.environment)

        made = rollback(actor=system, place=place, options=Options(), to_version=target.number)

        new = rows.get(configuration=target.configuration, number=made.version)
        same = ("effective_id", "source_id", "extends", "lock", "secrets", "uses", "format")
        assert [getattr(new, name) for name in same] == [getattr(target, name) for name in same]
        assert (new.restores, new.cause) == (target.number, "rollback")
        done += 1
        pinned += made.pinned
    assert min(done - pinned, pinned) > acts // 100, (done, pinned)
    assert unknown_in_locks() == []


def test_environment__with_another_parent__composes_all_below_it_in_the_same_act(operator):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1, "y": {"z": 1}})
    publish(operator, "a", {"own": 1}, environment="staging")
    publish(operator, "a", {"own": 2}, environment="development")
    publish(operator, "b", {"of": "${a@development:x:-none}"}, environment="development")
    operator("PATCH", "/environments/development", {"parent": "staging"})

    moved = operator("PATCH", "/environments/staging", {"parent": "production"})

    assert moved.status_code == 200
    assert config(operator, "a", "staging") == {"x": 1, "y": {"z": 1}, "own": 1}
    assert config(operator, "a", "development") == {"x": 1, "y": {"z": 1}, "own": 2}
    assert config(operator, "b", "development") == {"of": 1}
    rows = [last(operator, *each) for each in (("a", "staging"), ("a", "development"))]
    event = operator.get("/audit?action=environment.updated").json()["results"][0]
    assert {row["revision"] for row in rows} == {event["revision"]}
    assert [row["cause"] for row in rows] == ["inherited", "inherited"]
    assert unknown_in_locks() == []
    back = operator("PATCH", "/environments/staging", {"parent": None})
    assert back.status_code == 200
    assert config(operator, "a", "development") == {"own": 2}


def test_environment__whose_new_parent_would_break_something__is_refused_or_leaves_it(operator):
    service(operator, "a")
    publish(operator, "a", {"x": 1})
    publish(operator, "a", {"own": 1}, environment="staging")
    rule = {"name": "no-x", "environment": "staging", "expression": "!has(config.x)"}
    assert operator.post("/rules", rule).status_code == 201

    refused = operator("PATCH", "/environments/staging", {"parent": "production"})
    assert errors(refused)[0][1] == "rule"
    assert operator.get("/environments/staging").json()["parent"] is None
    body = {"parent": "production", "dependents": "leave"}
    assert operator("PATCH", "/environments/staging", body).status_code == 200
    assert config(operator, "a", "staging") == {"own": 1}
    assert operator.get("/config/a?environment=staging").json()["outdated"] is True
    assert operator("PATCH", "/environments/staging", {"dependents": "x"}).status_code == 422


def test_environment__dry_run__tells_what_would_follow_and_stores_nothing(operator, make_api):
    service(operator, "a", "b")
    publish(operator, "a", {"x": 1, "locked": {"y": 1}})
    publish(operator, "a", {"own": 1}, environment="staging")
    publish(operator, "b", {"of": "${a@staging:x:-0}"}, environment="staging")
    operator.post("/key-rules", {"pattern": "locked.**", "environment": "production"})
    manager = make_api("viewer", "a")
    to = f"service-account:{manager.account.slug}"
    assert operator.post("/grants", {"to": to, "verb": "manage"}).status_code == 201
    head = operator.get("/audit").json()["results"][0]["number"]

    free = {"parent": "production", "name": "Tried", "dry_run": True}
    tried = manager("PATCH", "/environments/staging", free).json()

    assert (tried["dry_run"], tried["parent"], tried["name"]) == (True, "production", "Tried")
    left = {"service": "a", "environment": "staging", "changes": [], "outdated": "restricted"}
    assert tried["affected"] == [left]  # a rule of the parent to be holds for what it would bring
    assert operator.get("/environments/staging").json()["parent"] is None
    assert operator.get("/audit").json()["results"][0]["number"] == head
    operator("DELETE", f"/key-rules/{operator.get('/key-rules').json()['results'][0]['id']}")
    told = manager("PATCH", "/environments/staging", free).json()["affected"]
    assert [change["key"] for change in told[0]["changes"]] == ["x", "locked"]
    assert told[1] == {"hidden": 1}
    done = manager("PATCH", "/environments/staging", {"parent": "production"})
    assert (done.status_code, done.json()["affected"]) == (200, told)
    assert "dry_run" not in done.json()
    assert config(operator, "b", "staging") == {"of": 1}

"""Experiments over REST: what they need, who is served what, and what came of it."""

import itertools
import json

import pytest

from apps.configs.models import Overlay, Text
from apps.core import clock, jobs
from apps.core.models import Job
from apps.engine.errors import DomainError, NotFoundError, UnauthenticatedError
from apps.engine.experiments import fixed_horizon
from apps.engine.experiments.aggregates import Values
from apps.rollouts import assigning
from apps.rollouts.models import Experiment, Exposure, Outcome
from tests.api.test_references import HERE, config, errors, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

LIVE = {"checkout": {"steps": 3, "theme": "light"}, "limits": {"items": 50}}
SHORT = {"checkout": {"steps": 1}}
VARIANTS = [{"name": "classic", "weight": 1}, {"name": "short", "weight": 1, "patch": SHORT}]
METRICS = [{"name": "paid", "kind": "conversion"}, {"name": "revenue", "kind": "value"}]


@pytest.fixture
def shop(operator):
    service(operator, "shop")
    assert publish(operator, "shop", LIVE).status_code == 201
    return operator


@pytest.fixture(autouse=True)
def _nothing_noted():
    assigning.forget_known()


def make(api, **members):
    return api.post(
        "/experiments",
        {
            "service": "shop",
            "environment": "production",
            "name": "short-checkout",
            "variants": VARIANTS,
            "metrics": METRICS,
            **members,
        },
    )


def start(api, made, **members):
    return api.post(f"/experiments/{made.json()['id']}/start", members)


def running(api, **members):
    made = make(api, **members)
    assert made.status_code == 201, made.content
    assert start(api, made).status_code == 200
    return f"/experiments/{made.json()['id']}"


def fetch(api, unit, **headers):
    return api.get(f"/config/shop?{HERE}", X_Config_Unit=unit, **headers)


def units_of(api, variant, count=3):
    """The first units that are served a variant."""
    served = ((f"u{n}", fetch(api, f"u{n}").json()) for n in itertools.count())
    mine = (unit for unit, body in served if body.get("experiment", {}).get("variant") == variant)
    return list(itertools.islice(mine, count))


def test_experiment__started__serves_each_unit_its_variant_and_says_which(shop):
    address = running(shop)
    answers = {unit: fetch(shop, unit) for unit in (f"u{n}" for n in range(20))}
    bodies = {unit: answer.json() for unit, answer in answers.items()}
    variants = {body["experiment"]["variant"] for body in bodies.values()}

    assert variants == {"classic", "short"}
    for unit, body in bodies.items():
        steps = 1 if body["experiment"]["variant"] == "short" else 3
        assert body["config"] == {**LIVE, "checkout": {"steps": steps, "theme": "light"}}
        assert body["experiment"]["id"] == address.rpartition("/")[2]
        assert fetch(shop, unit).content == answers[unit].content
    assert shop.get(f"/config/shop?{HERE}").json()["config"] == LIVE
    assert "experiment" not in shop.get(f"/config/shop?{HERE}").json()


def test_experiment__in_other_views__serves_the_same_variant(shop):
    running(shop)
    [unit] = units_of(shop, "short", 1)

    value = shop.get(f"/config/shop/value?{HERE}&key=checkout.steps&unit={unit}")
    file = shop.get(f"/config/shop.json?{HERE}&unit={unit}")
    several = shop.get(f"/config?service=shop&{HERE}", X_Config_Unit=unit).json()["results"][0]
    source = shop.get(f"/config/shop?{HERE}&view=source", X_Config_Unit=unit).json()

    assert value.content == b"1"
    assert json.loads(file.content)["checkout"]["steps"] == 1
    assert several["config"]["checkout"]["steps"] == 1
    assert several["checksum"] == fetch(shop, unit).json()["checksum"]
    assert source["config"] == LIVE


def test_explain__for_a_unit__names_the_variant_that_gives_a_key_and_what_it_hides(shop):
    patch = {"checkout": {"steps": 1, "express": {"on": True}}, "limits": None}
    address = running(shop, variants=[VARIANTS[0], {"name": "short", "patch": patch}])
    [unit] = units_of(shop, "short", 1)
    given = {"kind": "experiment", "id": address.rpartition("/")[2], "variant": "short"}

    rows = shop.get(f"/config/shop/explain?{HERE}&unit={unit}").json()["results"]

    assert {row["key"]: (row["layers"], row["hides"]) for row in rows} == {
        "checkout.steps": ([given], [{"kind": "own"}]),
        "checkout.express.on": ([given], []),
        "checkout.theme": ([{"kind": "own"}], []),
    }
    plain = shop.get(f"/config/shop/explain?{HERE}").json()["results"]
    assert "limits.items" in {row["key"] for row in plain}
    assert all(row["layers"] == [{"kind": "own"}] for row in plain)


def test_etag__of_two_variants__differs_and_validates_its_own(shop):
    running(shop)
    [classic], [short] = units_of(shop, "classic", 1), units_of(shop, "short", 1)
    tags = [fetch(shop, unit)["ETag"] for unit in (classic, short)]
    plain = shop.get(f"/config/shop?{HERE}")["ETag"]

    assert len({*tags, plain}) == 3
    assert fetch(shop, short, If_None_Match=tags[1]).status_code == 304
    assert fetch(shop, short, If_None_Match=tags[0]).status_code == 200
    patch = shop(
        "PATCH",
        f"/config/shop?{HERE}",
        {"limits": {"items": 60}},
        "application/merge-patch+json",
        If_Match=tags[1],
    )
    assert patch.status_code == 201


def test_version_of_the_past__with_a_unit__is_served_as_it_was(shop):
    running(shop)
    [unit] = units_of(shop, "short", 1)

    assert shop.get(f"/config/shop?{HERE}&version=1&unit={unit}").json()["config"] == LIVE


@pytest.mark.parametrize("unit", ["u\x07", "u" * 257])
def test_unit__that_cannot_be__is_refused(shop, unit):
    assert errors(shop.get(f"/config/shop?{HERE}&unit={unit}"))[0][1] == "unit"


def test_publish__while_it_runs__is_composed_with_every_variant(shop):
    running(shop)
    [unit] = units_of(shop, "short", 1)

    assert publish(shop, "shop", {**LIVE, "limits": {"items": 9}}).status_code == 201

    assert fetch(shop, unit).json()["config"] == {
        "checkout": {"steps": 1, "theme": "light"},
        "limits": {"items": 9},
    }


def rule(api, expression):
    body = {"name": "steps", "environment": "production", "expression": expression}
    return api.post("/rules", body)


def test_variant__that_would_be_invalid__is_refused_at_the_start_and_names_itself(shop):
    assert rule(shop, "config.checkout.steps >= 2").status_code == 201
    made = make(shop)
    refused = start(shop, made)
    dry = start(shop, made, dry_run=True)

    for answer in (refused, dry):
        assert answer.status_code == 422
        [problem] = answer.json()["errors"]
        assert (problem["pointer"], problem["code"]) == ("/checkout/steps", "rule")
        assert "variant 'short' of the experiment 'short-checkout'" in problem["message"]
    assert shop.get(f"/experiments/{made.json()['id']}").json()["state"] == "draft"


def test_publish__with_which_a_variant_would_be_invalid__is_refused(shop):
    expression = "config.limits.items < 100 || config.checkout.steps >= 2"
    assert rule(shop, expression).status_code == 201
    address = running(shop)
    wide = {**LIVE, "limits": {"items": 500}}

    large = {"environment": "production", "on_stale": "overwrite", "format": "json"}
    large["content"] = json.dumps({"checkout": 1, "many": [0] * 19_997})
    refused = publish(shop, "shop", wide)

    for answer, code in ((shop.post("/config/shop", large), "limit"), (refused, "rule")):
        assert answer.status_code == 422
        [problem] = answer.json()["errors"]
        assert ("variant 'short'" in problem["message"], problem["code"]) == (True, code)
    assert shop.post(f"{address}/stop", {}).status_code == 200
    assert publish(shop, "shop", wide).status_code == 201


def test_rollback__to_what_a_variant_is_invalid_with__serves_it_without_the_variant(shop):
    wide = {**LIVE, "limits": {"items": 500}}
    assert publish(shop, "shop", wide).status_code == 201
    assert publish(shop, "shop", LIVE).status_code == 201
    assert rule(shop, "config.limits.items < 100 || config.checkout.steps >= 2").status_code == 201
    running(shop)
    [unit] = units_of(shop, "short", 1)

    answer = shop.post("/config/shop/rollback", {"environment": "production", "to_version": 2})

    assert answer.status_code == 201
    assert "variant 'short'" in answer.json()["warnings"][0]["message"]
    assert fetch(shop, unit).json()["config"] == wide
    assert "experiment" not in fetch(shop, unit).json()


def test_template__that_moves__is_composed_into_every_variant(operator):
    service(operator, "shop")
    body = {"slug": "base", "content": {"limits": {"items": 1}}}
    assert operator.post("/templates", body).status_code == 201
    extends = [{"template": "base"}]
    assert publish(operator, "shop", {"checkout": {"steps": 3}}, extends=extends).status_code == 201
    running(operator)
    [unit] = units_of(operator, "short", 1)

    moved = operator.post("/templates/base/versions", {"content": {"limits": {"items": 2}}})

    assert moved.status_code == 201
    assert fetch(operator, unit).json()["config"] == {
        "checkout": {"steps": 1},
        "limits": {"items": 2},
    }


def test_stop__serves_everybody_what_is_live_and_is_for_ever(shop):
    address = running(shop)
    [unit] = units_of(shop, "short", 1)

    assert shop.post(f"{address}/stop", {}).json()["state"] == "stopped"

    assert fetch(shop, unit).json()["config"] == LIVE
    assert shop.post(f"{address}/stop", {}).status_code == 409
    assert shop.post(f"{address}/start", {}).status_code == 409
    assert shop("DELETE", address).status_code == 409


def test_winner__published__is_live_for_everybody_in_one_act(shop):
    address = running(shop)
    before = shop.get(f"/config/shop?{HERE}").json()["version"]

    dry = shop.post(f"{address}/publish", {"variant": "short", "dry_run": True})
    assert dry.status_code == 200
    assert shop.get(address).json()["state"] == "running"
    answer = shop.post(f"{address}/publish", {"variant": "short", "message": "It won."})

    assert answer.status_code == 201, answer.content
    live = shop.get(f"/config/shop?{HERE}").json()
    assert live["config"] == {**LIVE, "checkout": {"steps": 1, "theme": "light"}}
    assert live["version"] == before + 1
    told = shop.get(address).json()
    assert (told["state"], told["winner"]) == ("stopped", "short")
    revision = answer.json()["revision"]
    events = shop.get("/audit?page_size=5").json()["results"]
    actions = {each["action"] for each in events if each["revision"] == revision}
    assert actions == {"experiment.stopped", "configuration.experiment", "configuration.publish"}


@pytest.mark.parametrize("variant", ["classic", "other", ""])
def test_winner__that_is_no_treatment__is_refused(shop, variant):
    address = running(shop)

    assert shop.post(f"{address}/publish", {"variant": variant}).status_code == 422
    assert shop.get(address).json()["state"] == "running"


def test_secrets__in_a_variant__are_revealed_and_kept_from_deletion(shop):
    for name in ("old-key", "new-key"):
        body = {"service": "shop", "environment": "production", "name": name, "value": f"v-{name}"}
        assert shop.post("/secrets", body).status_code == 201
    assert publish(shop, "shop", {"key": {"$secret": "old-key"}, "n": 1}).status_code == 201
    patch = {"key": {"$secret": "new-key"}, "url": "https://u:${secret:old-key}@h"}
    variants = [VARIANTS[0], {"name": "short", "patch": patch}]
    address = running(shop, variants=variants)
    [unit] = units_of(shop, "short", 1)

    shown = fetch(shop, unit).json()["config"]
    revealed = shop.get(f"/config/shop?{HERE}&reveal=true", X_Config_Unit=unit)

    assert shown["key"] == {"$secret": "new-key"}
    assert revealed.json()["config"] == {
        "key": "v-new-key",
        "n": 1,
        "url": "https://u:v-old-key@h",
    }
    assert shop("DELETE", f"/secrets/shop/new-key?{HERE}").status_code == 422
    shop.post(f"{address}/stop", {})
    assert shop("DELETE", f"/secrets/shop/new-key?{HERE}").status_code == 204


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"a": "${self:checkout.steps}"}, "reference"),
        ({"a": "${param:x}"}, "reference"),
        ({"a": {"$append": [1]}}, "marker"),
        ({"a": {"$secret": 5}}, "marker"),
        ({"a": {"$secret": "missing"}}, "secret"),
        ([1], "type"),
        ({}, "type"),
    ],
)
def test_patch__that_cannot_be_laid__is_refused_at_its_place(shop, patch, code):
    made = make(shop, variants=[VARIANTS[0], {"name": "short", "patch": patch}])
    answer = start(shop, made) if made.status_code == 201 else made

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == code


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"variants": VARIANTS[:1]}, "/variants"),
        ({"variants": [VARIANTS[1], VARIANTS[0]]}, "/variants/0/patch"),
        ({"variants": [*VARIANTS, {"name": "Short", "patch": SHORT}]}, "/variants"),
        ({"variants": [VARIANTS[0], {**VARIANTS[1], "weight": 0}]}, "/variants/1/weight"),
        ({"variants": [{**VARIANTS[0], "weight": 1e-320}, VARIANTS[1]]}, "/variants/0/weight"),
        ({"variants": [{**VARIANTS[0], "weight": 9e-7}, VARIANTS[1]]}, "/variants/0/weight"),
        ({"metrics": [{"name": "x", "kind": "other"}]}, "/metrics/0/kind"),
        ({"holdout": 100}, "/holdout"),
        ({"share": 0}, "/share"),
        ({"share": 0.001}, "/share"),
        ({"audience": {"country": "DE"}}, "/audience/country"),
        ({"audience": {"targetingKey": {"like": 1}}}, "/audience/targetingKey/like"),
        ({"audience": {"any": 5}}, "/audience/any"),
        ({"audience": {"not": {"all": None}}}, "/audience/not/all"),
        ({"exclusion": "a b"}, "/exclusion"),
        ({"alpha": 2}, "/alpha"),
        ({"tuned_for": 100.7}, "/tuned_for"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "/ends_at"),
        ({"name": "a b"}, "/name"),
    ],
)
def test_definition__with_what_cannot_be__is_refused_at_its_place(shop, members, pointer):
    answer = make(shop, **members)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert shop.get("/experiments").json()["results"] == []


def test_exclusion__of_experiments__gives_no_unit_two_and_refuses_what_is_taken(shop):
    running(shop, share=60)
    other = [VARIANTS[0], {"name": "dark", "patch": {"checkout": {"theme": "dark"}}}]
    crowded = start(shop, make(shop, name="crowded", variants=other, share=60))
    running(shop, name="dark", variants=other, share=40)
    bodies = [fetch(shop, f"u{n}").json() for n in range(40)]

    assert errors(crowded)[0][:2] == ("/share", "share")
    assert {each["experiment"]["id"] for each in bodies if "experiment" in each} == {
        each["id"]
        for each in shop.get("/experiments").json()["results"]
        if each["state"] == "running"
    }
    for body in bodies:
        assert (body["config"]["checkout"]["steps"], body["config"]["checkout"]["theme"]) in {
            (3, "light"),
            (1, "light"),
            (3, "dark"),
        }


def test_holdout_and_audience__keep_units_out(shop):
    running(shop, holdout=50, audience={"targetingKey": {"starts_with": "de-"}})
    german = ["experiment" in fetch(shop, f"de-{n}").json() for n in range(40)]

    assert 8 < sum(german) < 32
    assert not any("experiment" in fetch(shop, f"fr-{n}").json() for n in range(10))


def test_outcomes__of_units__are_summed_and_compared(shop):
    address = running(shop)
    classic, short = units_of(shop, "classic", 20), units_of(shop, "short", 20)
    batch = [{"unit": unit, "metric": "paid"} for unit in short[:10]]
    batch += [{"unit": unit, "metric": "revenue", "value": 12.5} for unit in short[:10]]
    batch += [{"unit": short[0], "metric": "revenue", "value": -2.5}]
    batch += [{"unit": "nobody-saw-it", "metric": "paid"}]

    answer = shop.post(f"{address}/outcomes", {"outcomes": batch})
    told = shop.get(f"{address}/results").json()

    assert answer.json() == {"recorded": len(batch)}
    units = told["units"]
    assert (units["classic"] >= len(classic), units["short"] >= len(short)) == (True, True)
    paid, revenue = told["comparisons"]
    assert (paid["metric"], paid["variant"]) == ("paid", "short")
    assert paid["variant_mean"] == pytest.approx(10 / units["short"])
    assert revenue["variant_mean"] == pytest.approx((9 * 12.5 + 10) / units["short"])
    assert revenue["control_mean"] == 0
    assert told["sample_ratio"]["mismatch"] is False
    assert told["mixed"] == 0
    assert paid["fixed_horizon"]["corrected_p_value"] < 0.05
    assert sum(sum(day["units"].values()) for day in told["days"]) == sum(units.values())


def test_outcomes__of_value_0__convert_nobody(shop):
    address = running(shop)
    first, second, third = units_of(shop, "short", 3)
    values = {first: [0], second: [0, 1], third: [0, 0]}
    batch = [
        {"unit": unit, "metric": "paid", "value": value}
        for unit, each in values.items()
        for value in each
    ]

    assert shop.post(f"{address}/outcomes", {"outcomes": batch}).status_code == 200

    told = shop.get(f"{address}/results").json()
    assert told["comparisons"][0]["variant_mean"] == pytest.approx(1 / told["units"]["short"])


def test_outcomes__sent_twice_with_one_key__count_once(shop):
    address = running(shop)
    [unit] = units_of(shop, "short", 1)
    body = {"outcomes": [{"unit": unit, "metric": "revenue", "value": 5}]}

    for _time in range(2):
        assert shop.post(f"{address}/outcomes", body, Idempotency_Key="k1").status_code == 200

    [_paid, revenue] = shop.get(f"{address}/results").json()["comparisons"]
    units = shop.get(f"{address}/results").json()["units"]["short"]
    assert revenue["variant_mean"] == pytest.approx(5 / units)


def test_outcomes__one_of_which_cannot_be__are_refused_whole(shop):
    address = running(shop)
    batch = [{"unit": "u1", "metric": "paid"}, {"unit": "u1", "metric": "other"}]

    refused = shop.post(f"{address}/outcomes", {"outcomes": batch})
    huge = {"outcomes": [{"unit": "u1", "metric": "revenue", "value": 1e300}]}

    assert refused.json()["errors"][0]["pointer"] == "/outcomes/1/metric"
    assert shop.post(f"{address}/outcomes", huge).status_code == 422
    assert shop.post(f"{address}/outcomes", {"outcomes": []}).status_code == 400
    shapeless = shop.post(f"{address}/outcomes", {"outcomes": [5]})
    assert (shapeless.status_code, shapeless.json()["errors"][0]["pointer"]) == (400, "/outcomes/0")
    assert not Outcome.objects.exists()


def test_unit__that_was_given_two_variants__counts_for_none(shop):
    address = running(shop)
    [unit] = units_of(shop, "short", 1)
    assigning.flush()
    before = shop.get(f"{address}/results").json()["units"]["short"]
    pk = Experiment.objects.get().pk
    assigning.note_exposure(pk, assigning.digest_of(pk, unit), "classic")

    told = shop.get(f"{address}/results").json()

    assert (told["mixed"], told["units"]["short"]) == (1, before - 1)


def test_consumer__may_fetch_and_record__and_nothing_else(shop, make_api):
    address = running(shop)
    app = make_api("consumer", service="shop")
    body = {"outcomes": [{"unit": "u1", "metric": "paid"}]}

    assert app.post(f"{address}/outcomes", body).status_code == 200
    assert app.get(address).status_code == 200
    for act in ("stop", "publish"):
        assert app.post(f"{address}/{act}", {}).status_code == 403
    assert app("PATCH", address, {"description": "x"}).status_code == 403
    assert make(app, name="mine").status_code == 403
    stranger = make_api()
    assert stranger.get(address).status_code == 404
    assert stranger.post(f"{address}/outcomes", body).status_code == 404
    assert stranger.get("/experiments").json()["results"] == []


def test_keys_with_a_rule__are_hidden_in_patches_and_variants_and_need_their_right(shop, make_api):
    hidden = {"name": "short", "patch": {"checkout": {"steps": 1}, "limits": {"items": 7}}}
    address = running(shop, variants=[VARIANTS[0], hidden])
    rule = {"pattern": "limits.**", "service": "shop"}
    assert shop.post("/key-rules", rule).status_code == 201
    reader = make_api("operator", service="shop")
    [unit] = units_of(reader, "short", 1)

    assert fetch(reader, unit).json()["config"] == {"checkout": {"steps": 1, "theme": "light"}}
    assert reader.get(address).json()["variants"][1]["patch"] == {"checkout": {"steps": 1}}
    mine = make(reader, name="mine", variants=[VARIANTS[0], hidden])
    same = {"name": "short", "patch": {"limits": {"items": 50}}}
    assert mine.status_code == 403
    assert make(reader, name="same", variants=[VARIANTS[0], same]).status_code == 403
    assert reader.post(f"{address}/publish", {"variant": "short"}).status_code == 403
    assert shop.get(address).json()["state"] == "running"


def test_draft__changed_by_who_does_not_see_a_key__keeps_it(shop, make_api):
    hidden = {"name": "short", "patch": {"checkout": {"steps": 1}, "limits": {"items": 7}}}
    made = make(shop, variants=[VARIANTS[0], hidden])
    shop.post("/key-rules", {"pattern": "limits.**", "service": "shop"})
    other = make_api("operator", service="shop")
    address = f"/experiments/{made.json()['id']}"
    mine = [VARIANTS[0], {"name": "short", "patch": {"checkout": {"steps": 2}}}]

    assert other("PATCH", address, {"variants": mine}).status_code == 200

    [overlay] = Overlay.objects.select_related("patch").exclude(variant=None)
    kept = {"checkout": {"steps": 2}, "limits": {"items": 7}}
    assert json.loads(overlay.patch.content) == kept


def test_experiment__that_runs__changes_nothing_but_its_end(shop):
    address = running(shop)

    assert shop("PATCH", address, {"share": 10}).status_code == 409
    changed = shop("PATCH", address, {"description": "d", "ends_at": "2099-01-01T00:00:00Z"})
    assert changed.json()["ends_at"] == "2099-01-01T00:00:00.000000Z"


def test_schedule__starts_and_stops_it(shop):
    made = make(shop, starts_at="2099-01-01T00:00:00Z", ends_at="2099-02-01T00:00:00Z")
    states = []
    for kind in ("experiment.start", "experiment.stop"):
        job = Job.objects.get(kind=kind, finished_at__isnull=True)
        assert job.due_at > clock.now()
        held = jobs.claim("test", pk=job.pk)
        jobs.kind_of(kind).run(held)
        jobs.finish(held)
        states.append(Experiment.objects.get(pk=made.json()["id"]).state)

    assert states == ["running", "stopped"]


def test_watchers__hear_of_start_and_stop_with_the_keys(shop):
    address = running(shop)
    revision = shop.get(f"/config/shop?{HERE}")["X-Config-Revision"]
    shop.post(f"{address}/stop", {})
    events = shop.get("/audit?action=configuration.experiment").json()["results"]

    assert [each["data"]["keys"] for each in events] == [["checkout.steps"]] * 2
    assert {each["data"]["cause"] for each in events} == {"experiment"}
    poll = shop.get(f"/config/shop?{HERE}&after={revision}&wait=1", X_Config_Unit="u1")
    assert poll.status_code == 200


def test_draft__deleted__is_gone_and_its_name_free(shop):
    made = make(shop)
    address = f"/experiments/{made.json()['id']}"

    assert make(shop).json()["errors"][0]["code"] == "taken"
    assert shop("DELETE", address).status_code == 204
    assert shop.get(address).status_code == 404
    assert make(shop).status_code == 201
    assert config(shop, "shop") == LIVE


def test_acts__on_an_experiment__are_in_the_ledger_without_its_values(shop):
    address = running(shop)
    shop("PATCH", address, {"description": "d"})
    shop.post(f"{address}/stop", {})
    shop("DELETE", f"/experiments/{make(shop, name='other').json()['id']}")
    events = shop.get("/audit?action=experiment.*&order=asc").json()["results"]

    assert [(each["action"], each["target"]) for each in events] == [
        ("experiment.created", "experiment:shop@production/short-checkout"),
        ("experiment.started", "experiment:shop@production/short-checkout"),
        ("experiment.updated", "experiment:shop@production/short-checkout"),
        ("experiment.stopped", "experiment:shop@production/short-checkout"),
        ("experiment.created", "experiment:shop@production/other"),
        ("experiment.deleted", "experiment:shop@production/other"),
    ]
    assert {each["actor"] for each in events} == {f"service-account:{shop.account.slug}"}
    assert "steps" not in json.dumps([each["data"] for each in events])


def test_redaction__of_a_value_in_a_variant__takes_it_out_once_it_is_over(shop, system):
    address = running(
        shop, variants=[VARIANTS[0], {"name": "short", "patch": {"k": "hunter2hunter2"}}]
    )
    redact = "/config/shop/redact"
    assert publish(shop, "shop", {**LIVE, "k": "hunter2hunter2"}).status_code == 201
    version = shop.get(f"/config/shop?{HERE}").json()["version"]
    assert publish(shop, "shop", LIVE).status_code == 201
    body = {"environment": "production", "version": version, "key": "k"}

    assert shop.post(redact, body).json()["errors"][0]["code"] == "live"
    shop.post(f"{address}/stop", {})
    assert shop.post(redact, body).status_code == 200

    texts = "".join(Text.objects.values_list("content", flat=True))
    assert "hunter2" not in texts
    assert shop.get(address).json()["variants"][1]["patch"] == {"k": {"$redacted": True}}


def test_draft__whose_variant_another_may_not_see_whole__is_not_lost_by_his_writing(shop, make_api):
    hidden = {"name": "short", "patch": {"limits": {"items": 7}}}
    made = make(shop, variants=[VARIANTS[0], hidden])
    shop.post("/key-rules", {"pattern": "limits.**", "service": "shop"})
    other = make_api("operator", service="shop")
    address = f"/experiments/{made.json()['id']}"
    weighed = [VARIANTS[0], {"name": "short", "weight": 3, "patch": {}}]
    renamed = [VARIANTS[0], {"name": "mine", "patch": SHORT}]

    assert other("PATCH", address, {"variants": renamed}).status_code == 403
    assert other("PATCH", address, {"variants": weighed}).status_code == 200

    [overlay] = Overlay.objects.select_related("patch", "variant")
    assert (overlay.variant.name, overlay.variant.weight) == ("short", 3)
    assert json.loads(overlay.patch.content) == {"limits": {"items": 7}}


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ({"limits": {"items": 7}, "new": "text", "checkout": {"theme": None}}, 201),
        ({"checkout": 5}, 403),  # an object stands there, which may hold what the rule is about
        ({"limits": {"items": {"pin": 1}}}, 403),
        ({"new": {"$literal": {"pin": 1}}}, 403),
        ({"new": [{"pin": 1}]}, 403),
        ({"pin": None}, 403),
    ],
)
def test_rule__on_keys_anywhere__keeps_variants_from_those_keys_and_no_others(
    shop, make_api, patch, status
):
    assert shop.post("/key-rules", {"pattern": "**.pin", "service": "shop"}).status_code == 201
    ada = make_api("operator", service="shop")

    made = make(ada, variants=[VARIANTS[0], {"name": "short", "patch": patch}])

    assert made.status_code == status, made.content
    if status == 201:
        assert start(ada, made).status_code == 200


def test_variant__made_the_control_by_who_may_not_publish_its_keys__is_not_lost(shop, make_api):
    hidden = {"name": "short", "patch": {"limits": {"items": 7}}}
    address = f"/experiments/{make(shop, variants=[VARIANTS[0], hidden]).json()['id']}"
    shop.post("/key-rules", {"pattern": "limits.**", "service": "shop"})
    other = make_api("operator", service="shop")
    turned = [{"name": "short"}, {"name": "classic", "patch": SHORT}]

    assert other("PATCH", address, {"variants": turned}).status_code == 403
    assert [each.label for each in Overlay.objects.all()] == [
        "variant 'short' of the experiment 'short-checkout'"
    ]


def test_winner__of_one_that_is_stopped__can_be_published_still_and_of_a_draft_not(shop):
    address = running(shop)
    shop.post(f"{address}/stop", {})
    draft = make(shop, name="other").json()["id"]

    answer = shop.post(f"{address}/publish", {"variant": "short"})

    assert answer.status_code == 201, answer.content
    assert config(shop, "shop")["checkout"]["steps"] == 1
    assert shop.get(address).json()["winner"] == "short"
    assert shop.post(f"/experiments/{draft}/publish", {"variant": "short"}).status_code == 409


def test_winner__whose_value_was_redacted__is_refused(shop):
    variants = [VARIANTS[0], {"name": "short", "patch": {"k": "hunter2hunter2"}}]
    address = running(shop, variants=variants)
    assert publish(shop, "shop", {**LIVE, "k": "hunter2hunter2"}).status_code == 201
    version = shop.get(f"/config/shop?{HERE}").json()["version"]
    assert publish(shop, "shop", LIVE).status_code == 201
    shop.post(f"{address}/stop", {})
    body = {"environment": "production", "version": version, "key": "k"}
    assert shop.post("/config/shop/redact", body).status_code == 200

    answer = shop.post(f"{address}/publish", {"variant": "short"})

    assert answer.json()["errors"][0]["code"] == "redacted"
    assert config(shop, "shop") == LIVE


HIDDEN = {"name": "short", "patch": {"checkout": {"steps": 1}, "limits": {"items": 7}}}


def run_due(kind):
    """Do the pending job of a kind, as the runner does; its error, where it has one."""
    held = jobs.claim("test", pk=Job.objects.get(kind=kind, finished_at__isnull=True).pk)
    try:
        jobs.kind_of(kind).run(held)
    except DomainError as error:
        return error
    return None


def test_schedule__by_who_may_not_start_it__is_refused(shop, make_api):
    draft = make(shop, variants=[VARIANTS[0], HIDDEN]).json()["id"]
    assert shop.post("/key-rules", {"pattern": "limits.**", "service": "shop"}).status_code == 201
    guarded = make_api("operator", service="shop")
    other = {"service": "cart", "environment": "production", "name": "pw", "value": "v"}
    service(shop, "cart")
    assert shop.post("/secrets", other).status_code == 201
    soon = {"starts_at": "2099-01-01T00:00:00Z"}

    assert guarded("PATCH", f"/experiments/{draft}", soon).status_code == 403
    secret = {"name": "short", "patch": {"pw": {"$secret": "cart/pw"}}}
    named = make(guarded, name="named", variants=[VARIANTS[0], secret], **soon)
    assert (named.status_code, errors(named)[0][1]) == (422, "secret")
    assert not Job.objects.filter(kind="experiment.start", finished_at__isnull=True).exists()


def test_schedule__of_somebody_who_lost_his_right__does_not_start(shop, make_api):
    ada = make_api("operator", service="shop")
    made = make(ada, starts_at="2099-01-01T00:00:00Z").json()["id"]
    [grant] = [
        each
        for each in shop.get("/grants?page_size=200").json()["results"]
        if each["to"] == f"service-account:{ada.account.slug}"
    ]
    assert shop("DELETE", f"/grants/{grant['id']}").status_code == 204

    assert isinstance(run_due("experiment.start"), NotFoundError)
    assert shop.get(f"/experiments/{made}").json()["state"] == "draft"
    shop("DELETE", f"/service-accounts/{ada.account.slug}")
    assert isinstance(run_due_again("experiment.start"), UnauthenticatedError)


def run_due_again(kind):
    Job.objects.filter(kind=kind).update(lease_owner=None, lease_until=None)
    return run_due(kind)


def test_variant__with_a_key_that_one_may_not_publish__is_not_his_to_publish_or_delete(
    shop, make_api
):
    draft = make(shop, name="draft", variants=[VARIANTS[0], HIDDEN]).json()["id"]
    removing = {"name": "short", "patch": {"checkout": {"steps": 1}, "limits": {"items": None}}}
    address = running(shop, variants=[VARIANTS[0], removing])
    assert shop.post("/key-rules", {"pattern": "limits.**", "service": "shop"}).status_code == 201
    guarded = make_api("operator", service="shop")

    assert guarded.post(f"{address}/publish", {"variant": "short"}).status_code == 403
    assert guarded("DELETE", f"/experiments/{draft}").status_code == 403
    assert guarded.post(f"{address}/stop", {}).status_code == 200


def test_variant__that_names_anothers_secret__keeps_nobody_from_publishing(shop, make_api):
    service(shop, "cart")
    body = {"service": "cart", "environment": "production", "name": "pw", "value": "v"}
    assert shop.post("/secrets", body).status_code == 201
    secret = {"name": "short", "patch": {"pw": {"$secret": "cart/pw"}}}
    running(shop, variants=[VARIANTS[0], secret])
    ada = make_api("operator", service="shop")

    answer = publish(ada, "shop", {**LIVE, "limits": {"items": 9}})

    assert answer.status_code == 201, answer.content
    [unit] = units_of(shop, "short", 1)
    assert fetch(shop, unit).json()["config"]["limits"] == {"items": 9}


def test_service__deleted__leaves_its_group_to_others(shop):
    service(shop, "cart")
    assert publish(shop, "cart", LIVE).status_code == 201
    running(shop, exclusion="checkout")
    assert shop("DELETE", f"/config/shop?{HERE}").status_code == 201
    assert shop("DELETE", "/services/shop").status_code == 204

    made = make(shop, service="cart", name="mine", exclusion="checkout")

    assert start(shop, made).status_code == 200


def test_unit__not_ascii__is_the_same_in_header_and_query(shop):
    running(shop)
    units = [f"ünï-{n}" for n in range(8)]
    by_query = [shop.get(f"/config/shop?{HERE}&unit={unit}").json() for unit in units]
    by_header = [fetch(shop, unit.encode().decode("latin-1")).json() for unit in units]

    assert by_header == by_query
    assert errors(fetch(shop, "\xff"))[0][1] == "unit"


def test_exposure__is_of_what_was_served(shop):
    address = running(shop)
    shop.get(f"/config/shop/value?{HERE}&key=nope&unit=u1")
    shop.get(f"/config/shop.env?{HERE}&section=nope&unit=u2")
    shop.get(f"/config/shop/explain?{HERE}&unit=u3")

    assert sum(shop.get(f"{address}/results").json()["units"].values()) == 0
    fetch(shop, "u4")
    assert sum(shop.get(f"{address}/results").json()["units"].values()) == 1


def test_start__after_its_end__is_refused(shop):
    made = make(shop, ends_at="2099-01-01T00:00:00Z")
    Experiment.objects.update(ends_at=clock.read_rfc3339("2020-01-01T00:00:00Z"))

    assert errors(start(shop, made))[0][0] == "/ends_at"


def test_end__of_one_that_was_started_before_its_time__may_be_before_that_time_too(shop):
    made = make(shop, starts_at="2098-01-01T00:00:00Z")
    assert start(shop, made).status_code == 200

    ended = shop("PATCH", f"/experiments/{made.json()['id']}", {"ends_at": "2097-01-01T00:00:00Z"})

    assert ended.status_code == 200, ended.content
    assert Job.objects.get(kind="experiment.stop", finished_at__isnull=True).due_at.year == 2097


def test_section__that_a_variant_would_break__is_refused_unless_acknowledged(shop):
    address = running(shop)
    schema = {"properties": {"steps": {"minimum": 2}}}
    body = {"key": "checkout", "type": "application_settings", "schema": schema}

    refused = shop.post("/services/shop/sections", body)

    assert refused.json()["code"] == "live_failures"
    assert "With variant 'short'" in refused.json()["errors"][0]["message"]
    shop.post(f"{address}/stop", {})
    assert shop.post("/services/shop/sections", body).status_code == 201


def test_outcomes__of_too_few_units__say_what_they_lack(shop):
    address = running(shop)
    short = units_of(shop, "short", 3)
    batch = [{"unit": unit, "metric": "revenue", "value": 5} for unit in short]
    assert shop.post(f"{address}/outcomes", {"outcomes": batch}).status_code == 200

    [paid, revenue] = shop.get(f"{address}/results").json()["comparisons"]

    assert revenue["fixed_horizon"]["lacks"] == "values"
    assert revenue["fixed_horizon"]["absolute"] is None
    assert revenue["fixed_horizon"]["p_value"] == 1
    assert revenue["always_valid"]["lacks"] == paid["always_valid"]["lacks"] == "units"


def test_outcomes__whose_cubes_no_float_holds__are_summed_still(shop):
    address = running(shop)
    [unit, *others] = units_of(shop, "short", 3)
    sizes = [1e-300, -1e-170, 1e12]
    batch = [
        {"unit": each, "metric": "revenue", "value": size}
        for each, size in zip([unit, *others], sizes, strict=True)
    ]
    assert shop.post(f"{address}/outcomes", {"outcomes": batch}).status_code == 200

    answer = shop.get(f"{address}/results")

    assert answer.status_code == 200
    [_paid, revenue] = answer.json()["comparisons"]
    assert revenue["variant_mean"] == pytest.approx(1e12 / answer.json()["units"]["short"])


def test_results__of_skewed_values__are_those_of_their_cubes(shop):
    address = running(shop)
    row = Experiment.objects.get(pk=address.rpartition("/")[2])
    sizes = {"classic": [0.5, 2, 8, 64, -3] * 30, "short": [1, 0, 0, 40, 7.25] * 6}
    now = clock.now()
    for variant, values in sizes.items():
        for number, size in enumerate(values):
            unit = f"{variant}-{number}"
            Exposure.objects.create(experiment=row, unit=unit, variant=variant, first_at=now)
            if size:
                fields = {"metric": "revenue", "count": 1, "total": size, "last_at": now}
                Outcome.objects.create(experiment=row, unit=unit, **fields)

    [_paid, revenue] = shop.get(f"{address}/results").json()["comparisons"]

    control, treatment = (
        Values(
            len(values),
            sum(values),
            sum(value**2 for value in values),
            values.count(0),
            sum(value**3 for value in values),
        )
        for values in sizes.values()
    )
    said = fixed_horizon.compare_values(control, treatment, 0.05)
    assert revenue["fixed_horizon"]["absolute"] == pytest.approx(list(said.absolute))
    assert revenue["fixed_horizon"]["p_value"] == pytest.approx(said.p_value)
    assert said.absolute.high - treatment.mean + control.mean > 1.1 * (
        treatment.mean - control.mean - said.absolute.low
    )

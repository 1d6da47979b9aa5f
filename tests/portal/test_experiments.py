"""Experiments in the portal: lists, the form, the page of one, and publishing what won."""

import datetime
import json
import random
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core import clock
from apps.rollouts import assigning
from apps.rollouts.models import Experiment, Exposure, Outcome, Variant
from tests.api.test_experiments import LIVE, METRICS, VARIANTS, make, start
from tests.api.test_references import HERE, publish
from tests.flows.test_propagation import service

pytestmark = pytest.mark.django_db

LISTED = "/admin/config/shop/production/experiments/"
NEW = f"{LISTED}new/"
FORM = {
    "name": "short-checkout",
    "description": "Fewer steps, more who pay.",
    "variants_name": ["classic", "short"],
    "variants_weight": ["75", "25"],
    "variants_patch": ["", "checkout:\n  steps: 1\n"],
    "audience": "",
    "holdout": "5",
    "share": "80",
    "exclusion": "",
    "metrics_name": ["paid", "revenue"],
    "metrics_kind": ["conversion", "value"],
    "metrics_goal": ["increase", "increase"],
    "alpha": "0.05",
    "tuned_for": "5000",
    "starts_at": "",
    "ends_at": "",
}


@pytest.fixture(autouse=True)
def _nothing_noted():
    assigning.forget_known()


@pytest.fixture
def live(operator):
    service(operator, "shop")
    assert publish(operator, "shop", LIVE).status_code == 201
    return operator


@pytest.fixture
def ada(live, log_in):
    return log_in("ada", ("operator", "shop", None))


def run(api, **members):
    made = make(api, **members)
    assert made.status_code == 201, made.content
    assert start(api, made).status_code == 200
    return Experiment.objects.get(pk=made.json()["id"])


def expose(row, rates, units=2_000, seed=1, mixed=0):
    """Units in equal parts, of which the given shares convert by the first metric."""
    rng = random.Random(seed)
    began = clock.now() - datetime.timedelta(days=10)
    exposures, outcomes = [], []
    for index, (variant, rate) in enumerate(rates.items()):
        for number in range(units):
            unit = f"{index:016x}{number:016x}"
            at = began + datetime.timedelta(days=10 * number / units)
            exposures.append(Exposure(experiment=row, unit=unit, variant=variant, first_at=at))
            if rng.random() < rate:
                fields = {"metric": "paid", "count": 1, "total": 1, "last_at": at}
                outcomes.append(Outcome(experiment=row, unit=unit, **fields))
    for each in exposures[:mixed]:
        each.mixed = True
    Exposure.objects.bulk_create(exposures, batch_size=500)
    Outcome.objects.bulk_create(outcomes, batch_size=500)


def page_of(client, row, status=200, tail=""):
    answer = client.get(f"/admin/experiments/{row.pk}/{tail}")
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def badges(page):
    return re.findall(r'<span class="badge p-\w+">([^<]+)</span>', page)


# The page of one


def test_page__of_a_clear_lift__says_so_with_its_picture(live, ada):
    row = run(live)
    expose(row, {"classic": 0.10, "short": 0.16}, mixed=3)

    page = page_of(ada, row)

    assert "short is better than classic by paid: +" in page
    assert badges(page)[0] == "better"
    assert 'class="p-verdict-better"' in page
    assert 'class="p-zero"' in page
    assert "3 units had more than one variant" in page
    assert "hold at every look" in page
    assert page.index("<code>paid</code></h3>") < page.index("<code>revenue</code></h3>")
    assert "more units</b>" in page or "there are enough units" in page
    assert "X-Config-Unit: user-7" in page
    assert f"/experiments/{row.pk}/outcomes" in page


def test_page__of_an_interval_that_holds_zero__claims_nothing(live, ada):
    row = run(live)
    expose(row, {"classic": 0.10, "short": 0.11}, units=500)

    page = page_of(ada, row)

    assert "No difference between short and classic is known by paid" in page
    assert not {"better", "worse"} & set(badges(page))
    assert "p-verdict-better" not in page
    assert "p-verdict-worse" not in page


def test_page__of_a_mean_of_values_that_hardly_a_unit_has__says_how_many_it_takes(live, ada):
    row = run(live, metrics=[{"name": "paid", "kind": "value"}])
    expose(row, {"classic": 0.03, "short": 0.2}, units=1_000)

    page = page_of(ada, row)

    assert "at least 100 units in each variant, 50 of them with a value" in page
    assert badges(page) == ["not known yet"]


def test_page__of_a_stopped_one_with_few_values__says_what_one_look_takes(live, ada):
    row = run(live, metrics=[{"name": "paid", "kind": "value"}])
    expose(row, {"classic": 0.5, "short": 0.5}, units=9)
    row.state = Experiment.STOPPED
    row.save()

    page = page_of(ada, row)

    assert badges(page) == ["not known yet"]
    assert "yet: that takes at least 10 units with a value in each variant." in page


def test_page__of_values_that_are_all_the_same__says_so(live, ada):
    row = run(live, metrics=[{"name": "paid", "kind": "value"}])
    expose(row, {"classic": 1, "short": 1}, units=200)

    page = page_of(ada, row)

    assert badges(page) == ["not known yet"]
    assert "yet: its values are all the same, which does not tell" in page


def test_page__of_a_metric_that_should_decrease__calls_a_rise_worse(live, ada):
    row = run(live, metrics=[{"name": "paid", "goal": "decrease"}])
    expose(row, {"classic": 0.10, "short": 0.16})

    page = page_of(ada, row)

    assert badges(page) == ["worse"]
    assert 'class="p-verdict-worse"' in page


def test_page__with_a_split_that_is_off__warns_and_believes_nothing(live, ada):
    row = run(live)
    expose(row, {"classic": 0.10, "short": 0.16})
    Exposure.objects.filter(variant="short", unit__iregex="[123]$").delete()

    page = page_of(ada, row)

    assert "The units are not split as intended" in page
    assert "better" not in badges(page)
    assert "not to be believed" in badges(page)
    assert "split is off" in ada.get(LISTED).content.decode()


def test_page__of_one_stopped_by_hand__claims_what_holds_at_every_look_alone(live, ada):
    row = run(live, metrics=METRICS[:1])
    expose(row, {"classic": 0.100, "short": 0.127}, units=2_000, seed=3)
    ada.post(f"/admin/experiments/{row.pk}/", {"act": "stop"})

    by_hand = page_of(ada, row)
    ends = clock.now() - datetime.timedelta(seconds=1)
    Experiment.objects.update(ends_at=ends)
    changed = page_of(ada, row)
    Experiment.history.update(ends_at=ends)
    as_planned = page_of(ada, row)

    assert badges(by_hand) == badges(changed) == ["not certain"]
    assert "does not hold at every look" in by_hand
    assert "does not hold at every look" in changed
    assert badges(as_planned) == ["better"]
    assert "planned end" in as_planned


def test_page__of_one_whose_end_was_moved_while_it_ran__claims_what_holds_at_every_look_alone(
    live, ada
):
    later, soon = (clock.now() + datetime.timedelta(days=each) for each in (9, 1))
    rows = [
        run(live, name=name, metrics=METRICS[:1], share=20, ends_at=clock.rfc3339(soon))
        for name in ("kept", "moved")
    ]
    for row in rows:
        expose(row, {"classic": 0.100, "short": 0.127}, seed=3)
    for each in (later, soon - datetime.timedelta(hours=1)):
        changed = {"ends_at": clock.rfc3339(each)}
        assert live("PATCH", f"/experiments/{rows[1].pk}", changed).status_code == 200
    Experiment.objects.update(state=Experiment.STOPPED, stopped_at=soon)

    kept, moved = (page_of(ada, row) for row in rows)
    listed = ada.get(LISTED).content.decode()

    assert (badges(kept), badges(moved)) == (["better"], ["not certain"])
    assert sorted(badges(listed)) == ["better", "not certain"]


def test_page__of_one_comparison_among_many__is_corrected_for_the_others(live, ada):
    metrics = [{"name": "paid"}, *({"name": f"other-{n}"} for n in range(9))]
    row = run(live, metrics=metrics)
    expose(row, {"classic": 0.10, "short": 0.145}, seed=3)

    page = page_of(ada, row)

    assert badges(page)[0] == "not certain"
    assert "one of so many comparisons" in page
    assert badges(ada.get(LISTED).content.decode()) == ["not certain"]


def test_page__of_one_without_units__says_what_to_do(live, ada):
    page = page_of(ada, run(live))

    assert "Nothing can be said of short by paid yet" in page
    assert "No unit has fetched a variant yet" in page
    assert '<details class="p-more p-take-part" open>' in page


def test_units_still_needed__for_a_chosen_effect__are_those_of_the_engine(live, ada):
    from apps.engine.experiments.power import required_units_of_conversions

    row = run(live, metrics=METRICS[:1])
    expose(row, {"classic": 0.0, "short": 0.0}, units=1_000)
    fields = {"metric": "paid", "count": 1, "total": 1, "last_at": clock.now()}
    for number in range(100):
        Outcome.objects.create(experiment=row, unit=f"{0:016x}{number:016x}", **fields)
    wanted = required_units_of_conversions(baseline=0.1, effect=0.02)

    page = page_of(ada, row, tail="?effect=20&metric=paid")

    more = wanted.control + wanted.treatment - 2_000
    assert f"<b>{more:,} more units</b>" in page
    assert "find 12 % instead of 10 %" in page
    assert page_of(ada, row, tail="?effect=nonsense&metric=none")
    assert 'name="effect" value="1000"' in page_of(ada, row, tail="?effect=1000")


def test_page__for_who_may_only_read__has_no_buttons(live, log_in):
    row = run(live)
    reader = log_in("rea", ("viewer", "shop", None))
    stranger = log_in("sam")

    page = page_of(reader, row)

    assert "Publish this variant" not in page
    assert "Stop…" not in page
    assert "Change" not in page
    for act in ("stop", "delete"):
        reader.post(f"/admin/experiments/{row.pk}/", {"act": act})
    assert Experiment.objects.get().state == "running"
    for tail in ("change/", "start/", "publish/short/"):
        assert reader.get(f"/admin/experiments/{row.pk}/{tail}").status_code == 403, tail
        assert stranger.get(f"/admin/experiments/{row.pk}/{tail}").status_code == 404, tail
    assert stranger.get(f"/admin/experiments/{row.pk}/").status_code == 404
    assert stranger.get("/admin/experiments/nonsense/").status_code == 404
    assert reader.get(NEW).status_code == 403
    assert stranger.get("/admin/experiments/").status_code == 403


# Making and changing


def test_form__sent__makes_a_draft_and_leads_to_its_check(ada):
    answer = ada.post(NEW, {**FORM, "act": "check"})
    row = Experiment.objects.get()

    assert answer.headers["Location"] == f"/admin/experiments/{row.pk}/start/"
    page = page_of(ada, row, tail="start/")
    assert "Every variant is valid over what is live" in page
    assert "classic <b>57 %</b>" in page
    assert "short <b>19 %</b>" in page
    assert "held out <b>5 %</b>" in page
    assert "not in this experiment <b>19 %</b>" in page
    assert "<code>checkout.steps</code>" in page
    assert (row.state, row.share, row.holdout) == ("draft", 80, 5)
    ada.post(f"/admin/experiments/{row.pk}/start/")
    assert Experiment.objects.get().state == "running"


@pytest.mark.parametrize(
    ("members", "field", "words"),
    [
        ({"name": "a b"}, "name", "A name"),
        ({"variants_patch": ["", "checkout: [1"]}, "variants/1/patch", "Line "),
        ({"variants_patch": ["", '{"a": "${self:b}"}']}, "variants/1/patch", "a: "),
        ({"variants_patch": ["", ""]}, "variants/1/patch", "what is another"),
        ({"variants_weight": ["50", "none"]}, "variants/1/weight", "A weight"),
        ({"variants_name": ["same", "same"]}, "variants", "same name"),
        ({"metrics_name": ["paid", "a b"]}, "metrics/1/name", "A name"),
        ({"audience": "{"}, "audience", "Line "),
        ({"audience": '{"country":"DE"}'}, "audience", "country: An audience knows"),
        ({"share": "many"}, "share", "a number"),
        ({"holdout": "100"}, "holdout", "0 to 99"),
        ({"exclusion": "a b"}, "exclusion", "A name"),
        ({"alpha": "2"}, "alpha", "0.0001"),
        ({"tuned_for": "1"}, "tuned_for", "100"),
        ({"starts_at": "soon"}, "starts_at", "a time"),
        ({"ends_at": "2020-01-01T00:00"}, "ends_at", "past"),
    ],
)
def test_form__with_what_cannot_be__comes_back_with_the_words_at_their_field(
    ada, members, field, words
):
    answer = ada.post(NEW, {**FORM, **members})

    assert answer.status_code == 422
    assert words in answer.context["problems"][field]
    assert not Experiment.objects.exists()
    page = answer.content.decode()
    assert f'value="{FORM["share"]}"' in page or "share" in members
    assert "Fewer steps, more who pay." in page
    for patch in {**FORM, **members}["variants_patch"]:
        assert patch.replace('"', "&quot;") in page


def test_form__with_several_faults__says_all_of_them_at_once(ada):
    faults = {"name": "a b", "share": "200", "alpha": "none", "metrics_name": ["a b", "revenue"]}
    patches = ["", "settings: [1"]

    answer = ada.post(NEW, {**FORM, **faults, "variants_patch": patches})

    wanted = {"name", "share", "alpha", "metrics/0/name", "variants/1/patch"}
    assert answer.context["problems"].keys() == wanted


def test_form__without_its_fields__is_refused_and_no_error(ada):
    assert ada.post(NEW, {}).status_code == 422
    assert ada.post(NEW, {"variants_name": ["a", "b"]}).status_code == 422


def test_draft__changed_in_nothing__stays_what_it_was(live, ada):
    made = make(live, variants=[*VARIANTS, {**VARIANTS[1], "name": "third"}])
    row = Experiment.objects.get(pk=made.json()["id"])
    form = ada.get(f"/admin/experiments/{row.pk}/change/").context

    sent = _sent(form)
    assert ada.post(f"/admin/experiments/{row.pk}/change/", sent).status_code == 302

    assert live.get(f"/experiments/{row.pk}").json() == made.json()
    assert [each["weight"] for each in form["variants"]] == ["33.33", "33.33", "33.34"]


def _sent(form, **changed):
    """What a browser would send of a form, with some of it changed."""
    given = form["given"]
    sent = {name: text for name, text in given.items() if isinstance(text, str)}
    for rows, members in (("variants", "name weight patch"), ("metrics", "name kind goal")):
        for member in members.split():
            sent[f"{rows}_{member}"] = [each[member] for each in given[rows]]
    return {**sent, **changed}


def test_draft__of_which_key_rules_hide_a_part__keeps_it_when_another_saves(live, ada):
    hidden = {"name": "short", "patch": {"checkout": {"steps": 1}, "limits": {"items": 7}}}
    secret = {"name": "all-hidden", "patch": {"limits": {"items": 8}}}
    made = make(live, variants=[VARIANTS[0], hidden, secret])
    address = f"/admin/experiments/{made.json()['id']}/"
    assert live.post("/key-rules", {"pattern": "limits.**", "service": "shop"}).status_code == 201

    form = ada.get(f"{address}change/")
    assert "limits" not in form.content.decode()
    assert "limits" not in ada.get(address).content.decode()
    patches = ["", "checkout: {steps: 2}", ""]
    answer = ada.post(f"{address}change/", _sent(form.context, variants_patch=patches))
    renamed = _sent(form.context, variants_name=["classic", "other", "all-hidden"])
    refused = ada.post(f"{address}change/", renamed)

    assert answer.status_code == 302, answer.context["problems"]
    assert refused.status_code == 422
    [_control, first, second] = Experiment.objects.get().variants.all()
    kept = [json.loads(each.overlay.patch.content) for each in (first, second)]
    assert kept == [{"checkout": {"steps": 2}, "limits": {"items": 7}}, {"limits": {"items": 8}}]


def test_running_one__changed__offers_and_takes_description_and_end_alone(live, ada):
    row = run(live)
    form = ada.get(f"/admin/experiments/{row.pk}/change/").content.decode()
    sent = {"description": "Why", "ends_at": "2099-01-02T03:04"}

    assert 'name="share"' not in form
    assert 'name="ends_at"' in form
    assert ada.post(f"/admin/experiments/{row.pk}/change/", sent).status_code == 302
    row.refresh_from_db()
    assert row.ends_at == datetime.datetime(2099, 1, 2, 3, 4, tzinfo=datetime.UTC)
    refused = ada.post(f"/admin/experiments/{row.pk}/change/", {**sent, "share": "10"})
    assert (refused.status_code, "running" in refused.content.decode()) == (422, True)


def test_preview__of_a_patch__shows_what_it_changes_and_nothing_hidden(live, ada):
    live.post("/key-rules", {"pattern": "limits.**", "service": "shop"})
    address = f"{LISTED}preview/"

    shown = ada.post(address, {"patch": '{"checkout": {"steps": 1, "theme": null}}'}).json()
    broken = ada.post(address, {"patch": "b: 1\na: [1, }"})
    reference = ada.post(address, {"patch": "a: ${self:b}"})

    changes = [(each["key"], each["kind"], each["old"], each["new"]) for each in shown["changes"]]
    assert ("checkout.steps", "changed", "3", "1") in changes
    assert ("checkout.theme", "removed", '"light"', "") in changes
    assert "items" not in json.dumps(shown)
    assert (broken.status_code, broken.json()["errors"][0]["line"]) == (422, 2)
    assert reference.json()["errors"][0]["code"] == "reference"


def test_start__of_an_invalid_variant__says_what_and_starts_nothing(live, ada):
    rule = {"name": "steps", "environment": "production", "expression": "config.checkout.steps > 1"}
    assert live.post("/rules", rule).status_code == 201
    row = Experiment.objects.get(pk=make(live).json()["id"])

    page = page_of(ada, row, tail="start/")

    assert "It cannot start yet" in page
    assert "variant &#x27;short&#x27;" in page
    assert "<button" not in page[page.index("What is measured") : page.index("Not now")]
    assert ada.post(f"/admin/experiments/{row.pk}/start/").status_code == 422
    assert Experiment.objects.get().state == "draft"


def test_draft__that_did_not_start_by_itself__says_so_wherever_it_is_shown(live, ada, log_in):
    made = make(live, starts_at="2099-01-01T00:00:00Z").json()["id"]
    pages = [LISTED, f"/admin/experiments/{made}/"]
    before = [ada.get(each).content.decode() for each in pages]
    Experiment.objects.update(starts_at=clock.now() - datetime.timedelta(minutes=2))
    after = [ada.get(each).content.decode() for each in pages]

    assert "starts by itself" in before[1]
    assert not any("did not start" in each or "has not." in each for each in before)
    assert "did not start" in after[0]
    assert "It was to start by itself" in after[1]
    assert "says what is in the way" in after[1]
    reader = log_in("olu", ("viewer", "shop", None))
    assert "Who may publish here can see why" in reader.get(pages[1]).content.decode()


def test_draft__deleted__is_gone(live, ada):
    row = Experiment.objects.get(pk=make(live).json()["id"])

    answer = ada.post(f"/admin/experiments/{row.pk}/", {"act": "delete"})

    assert answer.headers["Location"] == LISTED
    assert not Experiment.objects.exists()


def test_pages__that_show_what_is_live__count_their_reader(live, ada):
    from apps.delivery import reads
    from apps.delivery.models import ReadCount

    row = run(live)
    reads.flush()
    for look in (
        lambda: page_of(ada, row),
        lambda: ada.post(f"{LISTED}preview/", {"patch": "a: 1"}),
    ):
        ReadCount.objects.all().delete()
        look()
        reads.flush()
        assert ReadCount.objects.filter(account="user:ada").exists()


# Publishing a variant


def test_variant__published__shows_its_diff_first_and_is_live_for_everybody(live, ada):
    row = run(live)
    address = f"/admin/experiments/{row.pk}/publish/short/"

    page = ada.get(address)
    assert "<code>checkout.steps</code>" in page.content.decode()
    assert Experiment.objects.get().state == "running"
    form = {"message": "It won.", "base_version": page.context["live"].version}
    assert ada.post(address, form).status_code == 302

    now = live.get(f"/config/shop?{HERE}").json()
    assert now["config"]["checkout"]["steps"] == 1
    assert Experiment.objects.get().winner == "short"
    assert "published for everybody" in page_of(ada, row)


def test_variant__of_one_that_is_stopped__can_be_published_still(live, ada):
    row = run(live)
    ada.post(f"/admin/experiments/{row.pk}/", {"act": "stop"})

    assert "Publishes what this variant lays" in page_of(ada, row, tail="publish/short/")
    ada.post(f"/admin/experiments/{row.pk}/publish/short/", {"message": "m", "base_version": "1"})

    assert live.get(f"/config/shop?{HERE}").json()["config"]["checkout"]["steps"] == 1
    assert Experiment.objects.get().winner == "short"


def test_variant__published_over_a_newer_version__is_refused_with_the_message_kept(live, ada):
    row = run(live)
    assert publish(live, "shop", {**LIVE, "limits": {"items": 9}}).status_code == 201
    form = {"message": "It won.", "base_version": "1"}

    answer = ada.post(f"/admin/experiments/{row.pk}/publish/short/", form)

    assert answer.status_code == 422
    assert Experiment.objects.get().state == "running"
    assert "config.limits" not in answer.content.decode()


@pytest.mark.parametrize("variant", ["classic", "other"])
def test_publish__of_what_is_no_treatment__says_so(live, ada, variant):
    page = page_of(ada, run(live), tail=f"publish/{variant}/")

    assert "Name a variant beside the control" in page


# Lists


def test_lists__show_state_units_and_the_first_metric_and_are_filtered(live, ada):
    row = run(live)
    expose(row, {"classic": 0.10, "short": 0.16})
    make(live, name="second", variants=VARIANTS)

    page = ada.get(LISTED).content.decode()
    drafts = ada.get("/admin/experiments/?state=draft&service=shop").content.decode()

    assert "4,000" in page
    assert "short +" in page
    assert badges(page) == ["better"]
    assert "second" in drafts
    assert "short-checkout" not in drafts
    assert "No experiment matches" in ada.get("/admin/experiments/?q=nothing").content.decode()


def test_standings__of_the_first_metric__claim_no_more_than_the_page(live, system):
    from apps.rollouts.results import find_results, find_standings

    third = {"name": "third", "weight": 1, "patch": {"limits": {"items": 9}}}
    metrics = [*METRICS, {"name": "other"}]
    row = run(live, variants=[*VARIANTS, third], metrics=metrics)
    expose(row, {"classic": 0.10, "short": 0.15, "third": 0.06}, units=1_500)

    standing = find_standings([row])[row.pk]
    whole = find_results(actor=system, experiment=row)

    assert standing.units == sum(whole.units.values())
    assert len(standing.comparisons) == 2
    for mine, same in zip(standing.comparisons, whole.comparisons, strict=False):
        assert (mine.metric, mine.treatment) == ("paid", same.treatment)
        assert mine.always_valid.absolute == same.always_valid.absolute
        for said, full in (
            (mine.always_valid, same.always_valid),
            (mine.fixed_horizon, same.fixed_horizon),
        ):
            assert said.p_value == full.p_value
            assert said.corrected_p_value >= full.corrected_p_value


def test_list__of_experiments__begins_with_those_that_run(live, ada):
    stopped = run(live, name="stopped", share=10)
    assert live.post(f"/experiments/{stopped.pk}/stop", {}).status_code == 200
    run(live, name="runs", share=10)
    make(live, name="drafted")

    page = ada.get(LISTED).content.decode()

    assert re.findall(r"<b>(stopped|runs|drafted)</b>", page) == ["runs", "drafted", "stopped"]


def test_list__without_any__says_what_to_do(live, ada, log_in):
    assert "Make the first" in ada.get(LISTED).content.decode()
    reader = log_in("rea", ("viewer", "shop", None)).get(LISTED).content.decode()
    assert "Make the first" not in reader
    assert "right 'publish'" in reader.replace("&#x27;", "'")


def test_list__of_hundreds__is_paged_with_as_many_statements_as_one_of_few(live, ada):
    configuration = Experiment.objects.get(pk=make(live).json()["id"]).configuration

    def add(count):
        rows = [
            Experiment(
                configuration=configuration,
                name=f"e{count}-{n}",
                created_at=clock.now(),
                state=Experiment.STOPPED,
                metrics=json.dumps([{"name": "paid", "kind": "conversion", "goal": "increase"}]),
            )
            for n in range(count)
        ]
        Experiment.objects.bulk_create(rows)
        for row in rows:
            for position, name in enumerate(("classic", "short")):
                Variant.objects.create(experiment=row, position=position, name=name, weight=1)

    def look():
        with CaptureQueriesContext(connection) as captured:
            page = ada.get("/admin/experiments/?state=stopped&page=2").content.decode()
        return len(captured), page

    add(22)
    ada.get("/admin/experiments/")
    few, _page = look()
    add(478)
    many, page = look()

    assert many == few
    assert "500 experiments" in page
    assert "page 2 of 25" in page

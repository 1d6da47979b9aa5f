"""What key rules hide from an auditor is hidden in the ledger too."""

import csv
import hashlib
import io
import json
import subprocess
import sys

import pytest

from apps.engine.values import canonical

pytestmark = pytest.mark.django_db

HERE = "environment=production"
DOCUMENT = {"pin": 4711, "a": 1, "hosts": [{"name": "x", "token": "t"}]}


def events(api, query="action=configuration.publish"):
    answer = api.get(f"/audit?{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def publish(api, config):
    body = {"environment": "production", "config": config, "on_stale": "overwrite"}
    assert api.post("/config/shop", body).status_code == 201


@pytest.fixture
def ruled(operator, shop):
    """Rules over ``pin`` and a part of ``hosts``, and two versions."""
    for pattern in ("pin", "hosts.*.token"):
        made = operator.post("/key-rules", {"pattern": pattern, "service": "shop"})
        assert made.status_code == 201, made.content
    return operator


@pytest.fixture
def leaked(ruled, system):
    """Versions that somebody published who passes the rules."""
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Base, Options
    from apps.registry.selectors import get_environment, get_service

    place = Place(get_service("shop"), get_environment("production"))
    for number, document in enumerate((DOCUMENT, {**DOCUMENT, "pin": 4712})):
        publishing.publish(
            actor=system,
            place=place,
            source=sources.from_text(json.dumps(document), "json"),
            options=Options(base=Base(number)) if number else Options(),
        )
    return place


@pytest.fixture
def holder(make_api, system, leaked):
    """An auditor who passes every rule."""
    from apps.access.models import KeyRule
    from apps.access.services import grant

    api = make_api("auditor")
    to = f"service-account:{api.account.slug}"
    for rule in KeyRule.objects.all():
        for verb in ("list", "read"):
            grant(actor=system, to=to, verb=verb, on=rule)
    return api


def test_ledger__auditor_without_the_rules__is_told_no_hidden_key_and_no_digest(
    leaked, make_api, holder
):
    auditor = make_api("auditor")

    newest, first = events(auditor)

    assert (newest["shortened"], newest["data"]["keys"]) == (True, [])
    assert first["data"]["keys"] == ["a"]
    assert not {"checksum", "source", "salt"} & newest["data"].keys()
    whole = events(holder)
    assert whole[0]["data"]["keys"] == ["pin"]
    assert not any("shortened" in each for each in whole)
    assert [each["hash"] for each in whole] == [newest["hash"], first["hash"]]


def test_ledger__hash_of_a_shortened_event__cannot_be_guessed_at(leaked, make_api):
    """With all that he is shown, the right PIN and the right keys the hash does not come out."""
    auditor = make_api("auditor")
    newest, _first = events(auditor)
    document = canonical({**DOCUMENT, "pin": 4712})
    digest = "sha256:" + hashlib.sha256(document.encode()).hexdigest()
    source = "sha256:" + hashlib.sha256(json.dumps({**DOCUMENT, "pin": 4712}).encode()).hexdigest()

    data = newest["data"] | {"checksum": digest, "source": source, "keys": ["pin"]}
    event = {name: newest[name] for name in ("number", "revision", "at", "actor", "action")}
    event |= {"target": newest["target"], "data": canonical(data)}
    guessed = canonical({"event": event, "previous": newest["previous"]})

    assert hashlib.sha256(guessed.encode()).hexdigest() != newest["hash"]


def test_ledger__searched_for_a_hidden_key__finds_nothing(leaked, make_api, holder):
    auditor = make_api("auditor")

    for key in ("pin", "hosts", "hosts[0].token"):
        assert events(auditor, f"key={key}&action=configuration.*") == []
        assert (
            auditor.get(f"/audit/export?key={key}&action=configuration.*")["X-Event-Count"] == "0"
        )
    for api, key, versions in ((auditor, "a", [1]), (holder, "pin", [2, 1])):
        rows = events(api, f"key={key}&action=configuration.*")
        assert [each["data"]["version"] for each in rows] == versions


def test_ledger__rules_about_members_of_objects__leave_the_other_keys(operator, shop, make_api):
    document = {"free": 1, "db": {"host": "h", "password": "p"}, "flags": {"f": {"n": 1}}}
    publish(operator, document)
    for pattern in ("*.password", "flags.*.enabled", "security.**"):
        made = operator.post("/key-rules", {"pattern": pattern, "service": "shop"})
        assert made.status_code == 201, made.content
    auditor = make_api("auditor")

    for key, found in (("free", True), ("db.host", True), ("flags", True), ("db.password", False)):
        (shown,) = events(auditor, f"key={key}&action=configuration.*") or [None]
        assert bool(shown) is found, key
        assert shown is None or shown["data"]["keys"] == ["db.host", "flags.f.n", "free"]


@pytest.mark.parametrize("pattern", ["**.password", "*.*.password"])
def test_ledger__rule_at_any_depth__leaves_all_keys_but_lists(operator, shop, make_api, pattern):
    kept = {"free": 1, "db": {"host": "h"}, "no": {}, "was": [1], "is": 1}
    publish(operator, kept)
    made = operator.post("/key-rules", {"pattern": pattern, "service": "shop"})
    assert made.status_code == 201, made.content
    publish(
        operator, {"free": 2, "db": {"host": "i"}, "no": [{"a": {}}], "was": 2, "is": [], "new": {}}
    )
    auditor = make_api("auditor")

    newest, _first = events(auditor)

    assert newest["data"]["keys"] == ["db.host", "free", "new"]
    assert newest["data"]["lists"] == []
    for key in ("no", "was", "is"):
        assert events(auditor, f"key={key}&action=configuration.publish&order=asc")[1:] == []


def test_ledger__event_that_does_not_name_its_lists__names_no_key_that_may_be_one(
    leaked, operator, make_api, system
):
    from apps.audit.services import Event, append

    operator.post("/key-rules", {"pattern": "**.password", "service": "shop"})
    append(
        [Event("configuration.publish", "configuration:shop@production", {"keys": ["a"]})],
        actor=system,
    )

    assert events(make_api("auditor"))[0]["data"]["keys"] == []


def test_ledger__paged_over_what_is_left_out__goes_on_to_the_end(leaked, make_api):
    auditor = make_api("auditor")
    everything = [each["number"] for each in events(auditor, "order=asc&page_size=200")]

    seen, address = [], "/audit?order=asc&page_size=3"
    while address:
        page = auditor.get(address).json()
        seen += [each["number"] for each in page["results"]]
        address = page["next"]

    assert seen == everything


def verify(auditor, folder):
    lines = b"".join(auditor.get("/audit/export?format=jsonl").streaming_content)
    (folder / "ledger.jsonl").write_bytes(lines)
    (folder / "verifier.py").write_bytes(auditor.get("/audit/verifier").content)
    program = [sys.executable, "-I", str(folder / "verifier.py"), str(folder / "ledger.jsonl")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, lines


def test_export__with_shortened_events__verifies_and_counts_them(
    leaked, make_api, holder, tmp_path
):
    status, said, lines = verify(make_api("auditor"), tmp_path)

    assert (status, "2 events are shortened" in said) == (0, True), said
    assert b'\\"pin\\"' not in lines.replace(b'"pattern\\":\\"pin\\"', b"")
    status, said, _lines = verify(holder, tmp_path)
    assert (status, "shortened" in said) == (0, False), said


def test_export__shortened_event_taken_out__does_not_verify(leaked, make_api, tmp_path):
    _status, _said, lines = verify(make_api("auditor"), tmp_path)
    kept = [line for line in lines.splitlines(keepends=True) if b'"shortened":true' not in line]
    (tmp_path / "ledger.jsonl").write_bytes(b"".join(kept))
    program = [sys.executable, "-I", str(tmp_path / "verifier.py"), str(tmp_path / "ledger.jsonl")]

    assert subprocess.run(program, capture_output=True, check=False).returncode == 1


def test_export__as_csv__says_which_are_shortened(leaked, make_api):
    answer = make_api("auditor").get("/audit/export?format=csv&action=configuration.*")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert [row["shortened"] for row in rows] == ["True", "True"]
    assert "pin" not in "".join(row["data"] for row in rows)


def test_template__published__is_shortened_for_who_does_not_hold_all_rules(
    operator, leaked, make_api, holder
):
    assert operator.post("/templates", {"slug": "base", "content": {"pin": 1}}).status_code == 201

    for api, told in ((make_api("auditor"), False), (holder, True)):
        [event] = events(api, "action=template.published")
        assert ("checksum" in event["data"]) is told


def test_experiment__started__is_shortened_for_who_does_not_hold_all_rules(
    operator, leaked, make_api, holder, system
):
    """The digest of its definition covers the patches: whoever has it can try out what they hide."""
    from apps.rollouts import experiments

    variants = [{"name": "control"}, {"name": "other", "patch": {"pin": 4713}}]
    made = experiments.create_experiment(actor=system, place=leaked, name="pin", variants=variants)
    experiments.start_experiment(actor=system, experiment=made)

    for api, told in ((make_api("auditor"), False), (holder, True)):
        [event] = events(api, "action=experiment.started")
        assert ("definition" in event["data"]) is told
        assert ("salt" in event["data"]) is told
        assert event["data"]["slots"]

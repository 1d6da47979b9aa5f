"""The demonstration data: whole, valid against its own schemas, and loaded as its people's work."""

from pathlib import Path

import pytest
import yaml

from apps.core.names import check_slug
from apps.engine import formats, merge, resolving, schemas, values
from apps.engine.sections import SECTION_TYPES

MANIFEST = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "shop.yaml"
DATA = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
SERVICES = {service["slug"]: service for service in DATA["services"]}
TEMPLATES = {template["slug"]: template for template in DATA["templates"]}
ENVIRONMENTS = ("development", "staging", "production")


def documents(service):
    """Each text that is published: version's message, environment, text."""
    held = {name: dict(service["values"][name]) for name in ENVIRONMENTS}
    for index, version in enumerate(service["versions"]):
        for environment in ENVIRONMENTS:
            changed = version.get("set", {}).get(environment)
            if index and not changed:
                continue
            held[environment] |= changed or {}
            text = service["document"]
            for name, value in held[environment].items():
                text = text.replace(f"<<{name}>>", str(value))
            yield version["message"], environment, text


def composed(service, text):
    """The effective document, as publishing makes it: the newest templates, then the text."""
    trees = [TEMPLATES[name]["versions"][-1]["content"] for name in service["extends"]]
    own = formats.parse(text, service.get("format", "yaml")).tree
    return resolving.compose([merge.Layer("layer", tree) for tree in [*trees, own]]).tree


def publishes(person, service):
    """Whether a role of the person lets him publish on the service."""
    return any(
        role["role"] in ("administrator", "operator") and role.get("service") in (None, service)
        for role in person["roles"]
    )


def test_manifest__is_a_platform_of_nine_services_with_all_types_and_formats():
    sections = [each for service in SERVICES.values() for each in service["sections"].values()]

    assert len(SERVICES) == len(DATA["services"]) >= 9
    assert all(tuple(service["values"]) == ENVIRONMENTS for service in SERVICES.values())
    assert {section["type"] for section in sections} == set(SECTION_TYPES)
    assert {service.get("format", "yaml") for service in SERVICES.values()} == {
        "yaml",
        "toml",
        "json",
    }
    assert all(section["description"] and section["schema"] for section in sections)


def test_manifest__names_and_references__are_valid():
    accounts = [each["slug"] for each in DATA["service_accounts"]]
    for slug in (*SERVICES, *TEMPLATES, *accounts):
        check_slug(slug)

    for holder in (*DATA["people"], *DATA["service_accounts"]):
        for role in holder["roles"]:
            assert set(role) <= {"role", "service"}
            assert role.get("service") in (None, *SERVICES)
    assert {each["environment"] for each in DATA["service_accounts"]} <= set(ENVIRONMENTS)
    for service in SERVICES.values():
        assert service["owner"] in DATA["groups"]
        assert set(service["extends"]) <= set(TEMPLATES)
    for person in DATA["people"]:
        assert set(person["groups"]) <= set(DATA["groups"])


def test_manifest__every_author_may_publish_what_he_changed():
    people = {person["username"]: person for person in DATA["people"]}

    for slug, service in SERVICES.items():
        for version in service["versions"]:
            assert publishes(people[version["author"]], slug), (slug, version["message"])


@pytest.mark.parametrize("slug", SERVICES)
def test_service__every_version__holds_its_schemas(slug):
    service = SERVICES[slug]
    for section in service["sections"].values():
        schemas.check_schema(section["schema"])
    published = list(documents(service))
    assert len(published) >= len(service["versions"]) + 2

    for message, environment, text in published:
        assert "<<" not in text
        assert "${" not in text
        tree = composed(service, text)
        for key, section in service["sections"].items():
            for schema in (SECTION_TYPES[section["type"]].schema, section["schema"]):
                problems = schemas.validate(schema, tree[key])
                assert problems == [], (message, environment, key)


@pytest.mark.parametrize("slug", SERVICES)
def test_service__every_version__changes_what_it_names(slug):
    service = SERVICES[slug]
    last = {}

    for message, environment, text in documents(service):
        tree = composed(service, text)
        assert environment not in last or not values.same(last[environment], tree), message
        last[environment] = tree


@pytest.mark.django_db
def test_demonstration__loaded__every_version_is_its_authors():
    from apps.configs.models import Live, Rule, Version
    from apps.configs.services.demonstration import load_demonstration

    load_demonstration(MANIFEST, lambda _line: None)

    expected = sum(len(list(documents(service))) for service in SERVICES.values())
    authors = {
        version["author"] for service in SERVICES.values() for version in service["versions"]
    }
    found = Version.objects.values_list("author", flat=True)
    assert len(found) == expected
    assert set(found) == {f"user:{author}" for author in authors}
    assert Live.objects.count() == len(SERVICES) * len(ENVIRONMENTS)
    assert set(Rule.objects.values_list("name", flat=True)) == {
        rule["name"] for rule in DATA["rules"]
    }


@pytest.mark.django_db
def test_experiments__loaded__have_units_that_are_served_what_they_count_for(system):
    from apps.audit.selectors import find_point
    from apps.configs.services.demonstration import load_demonstration
    from apps.core import clock
    from apps.engine.flags.conditions import Context
    from apps.rollouts.assigning import assignment_of, digest_of
    from apps.rollouts.demonstration import load_experiments
    from apps.rollouts.models import Experiment, Exposure
    from apps.rollouts.past import list_experiments_at
    from apps.rollouts.results import find_results

    load_demonstration(MANIFEST, lambda _line: None)
    load_experiments(MANIFEST.parent / "experiments.yaml", lambda _line: None)

    row = Experiment.objects.get()
    found = find_results(actor=system, experiment=row)
    variants = dict(Exposure.objects.values_list("unit", "variant"))
    assert row.state == Experiment.RUNNING
    (then,) = list_experiments_at(actor=system, point=find_point(at=clock.now()))
    assert (then.row.created_at, then.row.started_at) == (row.created_at, row.started_at)
    assert not found.sample_ratio.mismatch
    assert all(each.control_mean for each in found.comparisons)
    for number in range(100):
        unit = f"visitor-{number}"
        served = assignment_of(row).choose(Context({"targetingKey": unit}, row.started_at))
        assert variants.get(digest_of(row.pk, unit)) == served

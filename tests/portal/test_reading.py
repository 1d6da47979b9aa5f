"""What the portal shows to somebody who may only read: values, not fields, and no dead links."""

import re

import pytest

from apps.access.policy import Place

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(shop, system):
    """A template, a rule, a section and a service that have something to show."""
    from apps.access import people
    from apps.configs.services import places, rules, sections, templates
    from apps.registry.selectors import get_environment

    body = templates.Body({"pool": "${param:size}"}, {"properties": {"size": {"default": 5}}})
    template = templates.create_template(actor=system, slug="pools", body=body).template
    rule = rules.create_rule(
        actor=system,
        name="pool",
        place=Place(shop),
        expression="config.pool >= 10",
        tests=[{"config": {"pool": 5}, "holds": False}],
    )
    schema = {"type": "object", "properties": {"pool": {"maximum": 77}}}
    section = sections.create_section(actor=system, service=shop, key="db", schema=schema)
    people.create_group(actor=system, name="sre")
    places.update_service(actor=system, service=shop, labels={"tier": "1"}, owner="sre")
    found = {"template": template, "rule": rule, "section": section, "service": shop}
    return {**found, "environment": get_environment("production")}


ADDRESSES = {
    "template": "/admin/configs/template/{}/change/",
    "rule": "/admin/configs/rule/{}/change/",
    "section": "/admin/configs/section/{}/change/",
    "service": "/admin/registry/service/{}/change/",
    "environment": "/admin/registry/environment/{}/change/",
}


def fields(client, rows, kind):
    """The texts of the fields of a row's page, by their labels."""
    page = client.get(ADDRESSES[kind].format(rows[kind].pk)).content.decode()
    found = {}
    for each in page.split("<label")[1:]:
        label, _end, rest = each.partition("</label>")
        value = re.search(r'<div class="readonly[^>]*>(.*?)</div>', rest, re.DOTALL)
        if value:
            found[label.partition(">")[2].strip()] = value.group(1)
    return found


@pytest.mark.parametrize(
    ("kind", "label", "shown"),
    [
        ("template", "Content", "pool: ${param:size}"),
        ("template", "Parameters", "properties:\n"),
        ("rule", "Tests", "&quot;holds&quot;:false"),
        ("rule", "Condition", "config.pool &gt;= 10"),
        ("section", "Schema", "&quot;maximum&quot;: 77\n"),
        ("service", "Labels", "tier=1"),
        ("service", "Owner", "sre"),
    ],
)
def test_page__of_who_may_only_read__shows_what_it_is_about(rows, log_in, kind, label, shown):
    assert shown in fields(log_in("vera", ("viewer", None, None)), rows, kind)[label]


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("template", "Message"),
        ("template", "Leave"),
        ("environment", "Leave"),
        ("rule", "Save although"),
        ("section", "Save"),
    ],
)
def test_page__of_who_may_only_read__leaves_out_what_is_only_written(rows, log_in, kind, label):
    shown = fields(log_in("vera", ("viewer", None, None)), rows, kind)

    assert shown
    assert not any(each.startswith(label) for each in shown)


def test_owner__of_a_service__is_a_link_for_who_may_open_the_group(rows, log_in):
    assert "href" not in fields(log_in("vera", ("viewer", None, None)), rows, "service")["Owner"]
    assert "href" in fields(log_in("olu", ("auditor", None, None)), rows, "service")["Owner"]

"""Rows that were read before somebody else changed or hid them: nothing of his is undone."""

import pytest

from apps.engine.errors import InvalidError, NotFoundError

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(system, shop):
    """Makes one of each kind of row with its ways to change and to hide it."""
    from apps.access import services
    from apps.configs.services import places, sections, templates

    other = places.create_service(actor=system, slug="other")
    spare = places.create_environment(actor=system, slug="spare", rank=90)
    section = sections.create_section(actor=system, service=shop, key="settings")
    template = templates.create_template(
        actor=system, slug="base", body=templates.Body({})
    ).template
    robot = services.create_account(actor=system, slug="robot")
    return {
        "service": (other, places.update_service, places.delete_service, {"name": "x"}),
        "environment": (
            spare,
            places.update_environment,
            places.delete_environment,
            {"name": "x"},
        ),
        "section": (
            section,
            sections.update_section,
            sections.delete_section,
            {"description": "x"},
        ),
        "template": (template, templates.update_template, templates.delete_template, {"name": "x"}),
        "account": (robot, services.update_account, services.delete_account, {"description": "x"}),
    }


@pytest.mark.parametrize("kind", ["service", "environment", "section", "template", "account"])
def test_changed__after_it_was_hidden__stays_hidden(system, rows, kind):
    row, change, hide, members = rows[kind]
    stale = type(row).objects.get(pk=row.pk)
    hide(actor=system, **{kind: type(row).objects.get(pk=row.pk)})

    with pytest.raises(NotFoundError):
        change(actor=system, **{kind: stale}, **members)
    with pytest.raises(NotFoundError):
        hide(actor=system, **{kind: stale})

    found = type(row).objects.filter(pk=row.pk).first()
    assert found is None or found.deleted_at is not None


def test_environment__renamed_with_an_old_parent__keeps_the_new_one(system):
    from apps.configs.services.places import update_environment
    from apps.registry.models import Environment
    from apps.registry.selectors import get_environment

    stale = get_environment("staging")
    update_environment(actor=system, environment=get_environment("staging"), parent="production")
    update_environment(actor=system, environment=stale, name="Renamed")

    staging = Environment.objects.get(slug="staging")
    assert (staging.name, str(staging.parent)) == ("Renamed", "production")


def test_publish__with_a_row_from_before_another_parent__is_composed_over_the_new_one(
    system, shop, operator
):
    """Who waited for the lock while the parent was changed."""
    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services.bases import Options
    from apps.configs.services.places import update_environment
    from apps.configs.services.publishing import publish
    from apps.registry.selectors import get_environment

    stale = get_environment("staging")
    for environment, document in ((get_environment("production"), {"a": 1}), (stale, {"own": 1})):
        publish(
            actor=system,
            place=Place(shop, environment),
            source=sources.from_tree(document),
            options=Options(),
        )
    update_environment(actor=system, environment=get_environment("staging"), parent="production")

    options = Options(on_stale="overwrite")
    source = sources.from_tree({"own": 2})
    publish(actor=system, place=Place(shop, stale), source=source, options=options)

    live = operator.get("/config/shop?environment=staging").json()
    assert live["config"] == {"a": 1, "own": 2}


def test_default__moved_by_two_who_saw_the_same__is_one(system):
    from apps.configs.services.places import update_environment
    from apps.registry.models import Environment
    from apps.registry.selectors import get_environment

    old, second, third = (
        get_environment(each) for each in ("development", "staging", "production")
    )
    update_environment(actor=system, environment=second, default=True)
    update_environment(actor=system, environment=third, default=True)
    update_environment(actor=system, environment=old, name="Old")

    assert [each.slug for each in Environment.objects.filter(is_default=True)] == ["production"]


@pytest.mark.parametrize("what", ["service", "environment"])
def test_deleted__while_secrets_are_kept_there__is_refused_and_names_them(system, shop, what):
    from apps.access.policy import Place
    from apps.configs.services import places
    from apps.registry.selectors import get_environment
    from apps.vault.services import create_secret, delete_secret

    spare = places.create_environment(actor=system, slug="spare", rank=90)
    secret = create_secret(actor=system, place=Place(shop, spare), slug="pin", value="v4lue")
    delete = getattr(places, f"delete_{what}")
    row = shop if what == "service" else get_environment("spare")

    with pytest.raises(InvalidError, match="shop@spare/pin"):
        delete(actor=system, **{what: row})
    delete_secret(actor=system, secret=secret)
    delete(actor=system, **{what: row})


def test_template__renamed_over_rest__is_answered_with_its_new_name(operator):
    assert operator.post("/templates", {"slug": "base", "content": {}}).status_code == 201

    answer = operator("PATCH", "/templates/base", {"name": "Renamed"})

    assert (answer.status_code, answer.json()) == (
        200,
        {"slug": "base", "name": "Renamed", "version": 1},
    )

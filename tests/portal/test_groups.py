"""Groups on their page: who is in one, and putting people in and taking them out."""

import pytest

from tests.portal.test_proposals import text

pytestmark = pytest.mark.django_db


@pytest.fixture
def group(system):
    from apps.access.people import create_group

    return create_group(actor=system, name="web")


def page(group, more=""):
    return f"/admin/auth/group/{group.pk}/{more or 'change/'}"


def test_page__of_a_group__puts_people_in_and_takes_them_out(log_in, group, system):
    from django.contrib.auth.models import Group

    from apps.audit.models import AuditEvent

    admin, mei = log_in("ines", superuser=True), log_in("mei").person
    mei.groups.add(Group.objects.create(name="other"))
    empty = text(admin.get(page(group)))
    assert "Nobody is in it" in empty
    assert 'name="_save"' not in empty

    told = text(admin.post(page(group, "members/"), {"add": " Mei "}, follow=True))

    assert "mei is in it now." in told
    assert f'href="/admin/core/user/{mei.pk}/change/">mei</a>' in told
    assert sorted(mei.groups.values_list("name", flat=True)) == ["other", "web"]
    assert AuditEvent.objects.order_by("-number").first().action == "user.groups"
    admin.post(page(group, "members/"), {"remove": "mei"})
    assert list(mei.groups.values_list("name", flat=True)) == ["other"]


def test_page__of_a_group_of_many__is_searched_and_paged(log_in, group):
    from apps.core.models import User

    admin = log_in("ines", superuser=True)
    made = [User(username=f"p-{n:03}", last_name=f"Body {n}") for n in range(120)]
    group.user_set.add(*User.objects.bulk_create(made))

    whole = text(admin.get(page(group)))

    assert "120 members" in whole
    assert "page 1 of 3" in whole
    found = text(admin.get(page(group), {"q": "body 11"}))
    assert "11 members" in found
    assert "p-110" in found
    assert ">p-007<" not in found
    assert "No member matches" in text(admin.get(page(group), {"q": "x"}))
    assert ">120<" in text(admin.get("/admin/auth/group/")).replace(" ", "")


def test_page__of_a_group__is_read_by_auditors_without_buttons(log_in, group):
    auditor = log_in("eve", ("auditor", None, None))
    log_in("mei").person.groups.add(group)

    shown = text(auditor.get(page(group)))
    refused = text(auditor.post(page(group, "members/"), {"remove": "mei"}, follow=True))

    assert ">mei</a>" in shown
    assert "Take out" not in shown
    assert "Put in" not in shown
    assert "manage" in refused
    assert group.user_set.count() == 1


def test_member__with_more_than_one_holds__is_not_put_in(log_in, group, system):
    from apps.access import services

    services.grant(actor=system, to="group:web", role="administrator")
    half = log_in("half", ("operator", None, None))
    services.grant(actor=system, to="user:half", verb="manage")

    half.post(page(group, "members/"), {"add": "half"})

    assert group.user_set.count() == 0


@pytest.mark.parametrize("name", ["nobody-there", ""])
def test_member__who_is_not_there__is_said(log_in, group, name):
    admin = log_in("ines", superuser=True)

    told = text(admin.post(page(group, "members/"), {"add": name}, follow=True))

    assert told.count(f"There is nobody called &#x27;{name}&#x27;.") == 1


def test_groups__of_a_person__are_found_by_who_may_open_their_pages(log_in, group):
    address = "/admin/autocomplete/?app_label=core&model_name=user&field_name=groups&term=we"

    assert log_in("ines", superuser=True).get(address).json()["results"] == [
        {"id": str(group.pk), "text": "web"}
    ]
    assert log_in("mei", ("operator", None, None)).get(address).status_code == 403

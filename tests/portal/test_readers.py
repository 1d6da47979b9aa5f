"""Whoever reads a document on a page is among its readers, and uses no key."""

import pytest

from apps.access.policy import Place
from apps.delivery.reads import list_readers, list_unread
from apps.registry.selectors import get_environment

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "address", ["", "explain/", "across/", "diff/?from=1", "/admin/exchange/export/?service=shop"]
)
def test_page__with_a_document__names_its_reader_and_makes_no_key_a_read_one(
    two_services, log_in, system, address
):
    place = Place(two_services[0], get_environment("production"))
    viewer = log_in("ada", ("viewer", None, None))
    address = address if address.startswith("/") else f"/admin/config/shop/production/{address}"

    answer = viewer.get(address)

    assert answer.status_code == 200, answer.content[:300]
    found = list_readers(actor=system, place=place, key="a")
    assert [each.account for each in found] == ["user:ada"]
    assert list_unread(actor=system, place=place, days=90) == ["a"]

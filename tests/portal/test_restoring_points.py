"""Points in time as people write them in the portal."""

import pytest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("offset", ["", "Z", "+05:30", "-05:00"])
def test_read_point__a_time_with_or_without_an_offset__is_a_point(shop, offset):
    from apps.audit.selectors import head
    from apps.portal.restoring import read_point

    assert read_point(f"2099-01-01T00:00:00{offset}").revision == head().revision

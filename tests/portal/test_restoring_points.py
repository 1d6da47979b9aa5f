"""Points in time as people write them in the portal."""

import pytest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("offset", ["", "Z", "+05:30", "-05:00"])
def test_read_point__a_time_with_or_without_an_offset__is_a_point(shop, offset):
    from apps.audit.selectors import head
    from apps.portal.restoring import read_point

    assert read_point(f"2099-01-01T00:00:00{offset}").revision == head().revision


def test_read_point__a_revision_of_this_epoch_or_another__is_a_point_or_a_conflict(shop):
    from apps.audit.selectors import head
    from apps.engine.errors import ConflictError
    from apps.portal.restoring import read_point

    end = head()
    assert read_point(f" {end.revision} ") == read_point(f"{end.epoch}-{end.revision}")
    for other in (f"{end.revision + 1}", f"{end.epoch[::-1]}x-{end.revision}"):
        with pytest.raises(ConflictError, match="another epoch"):
            read_point(other)
